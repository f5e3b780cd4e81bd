"""The registry's contract: deployments, drift reports, alerts and events."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from .. import registry
from ..core import Conflict, DataError, Node, NotFound, Workspace
from ..registry import Edge
from .registry_steps import DIGEST, finished


class OperationsContract:
    """Deployments, drift reports, alerts and events."""

    def test_a_deployment_replaces_the_one_before(self, ws: Workspace) -> None:
        first, second = (registry.register(ws, finished(ws), name="delay") for _ in range(2))
        registry.record_deployment(ws, "delays", first, target="delay@champion")
        other = registry.record_deployment(ws, "other", first, target="delay@1")
        live = registry.record_deployment(
            ws, "delays", second, target="delay@champion", config={"max": 2}, url="http://127.0.0.1:1"
        )
        assert registry.deployment(ws, "delays") == live
        assert [(found.endpoint, found.version, found.status) for found in registry.deployments(ws)] == [
            ("delays", 2, "running"),
            ("other", 1, "running"),
            ("delays", 1, "replaced"),
        ]
        assert registry.deployments(ws, status="running") == [live, other]
        assert registry.upstream(ws, "endpoint:delays", depth=1) == [
            Edge(first.node, live.node),
            Edge(second.node, live.node),
        ]

    def test_a_deployment_ends_once(self, ws: Workspace) -> None:
        registry.record_deployment(ws, "delays", registry.register(ws, finished(ws), name="delay"), target="delay@1")
        ended = registry.end_deployment(ws, "delays")
        assert ended.status == "ended" and ended.ended_at is not None
        assert registry.end_deployment(ws, "delays") == ended
        with pytest.raises(NotFound, match="'other' was never deployed; endpoints: delays"):
            registry.end_deployment(ws, "other")

    def test_only_registered_versions_are_deployed(self, ws: Workspace) -> None:
        made = registry.register(ws, finished(ws), name="delay")
        foreign = registry.ModelVersion("delay", 2, DIGEST, None, {}, "", (), made.created_at)
        with pytest.raises(Conflict, match="refused a change"):
            registry.record_deployment(ws, "delays", foreign, target="delay@2")
        assert registry.deployments(ws) == [] and registry.upstream(ws, "endpoint:delays") == []

    def test_drift_reports_come_back(self, ws: Workspace) -> None:
        model = registry.register(ws, finished(ws), name="delay")
        west = timezone(timedelta(hours=-5))
        window = (datetime(2013, 7, 1, tzinfo=west), datetime(2013, 8, 1, microsecond=7, tzinfo=west))
        reference, current = Node("table", "training.delay", "0"), Node("table", "predictions.delays", "4")
        made = registry.record_drift_report(
            ws, "delays", model=model, window=window, reference=reference, current=current, share=0.25,
            columns={"hour": {"score": np.float64(0.3), "drifted": np.bool_(True)}}, metrics={"auc": math.nan},
            artifacts={"html": DIGEST},
        )  # fmt: skip
        empty = registry.record_drift_report(
            ws, "other", model=model, window=window, reference=reference, current=current, share=math.nan, columns={}
        )
        (found,) = registry.drift_reports(ws, "delays")
        assert found.window == window and found.window[1].utcoffset() == timedelta(0)
        assert found.columns == {"hour": {"score": 0.3, "drifted": True}} and math.isnan(found.metrics["auc"])
        assert (found.id, found.share, found.artifacts) == (made.id, 0.25, {"html": DIGEST})
        assert [report.id for report in registry.drift_reports(ws)] == [empty.id, made.id]
        assert math.isnan(registry.drift_reports(ws, "other")[0].share)
        assert {edge.source for edge in registry.upstream(ws, made.node, depth=1)} == {model.node, reference, current}

    def test_a_window_must_be_aware_and_forward(self, ws: Workspace) -> None:
        model = registry.register(ws, finished(ws), name="delay")
        july, august = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)
        for window, message in (((july.replace(tzinfo=None), august), "no time zone"), ((august, july), "before it")):
            with pytest.raises(DataError, match=message):
                registry.record_drift_report(
                    ws, "delays", model=model, window=window, reference=model.node, current=model.node, share=0.0,
                    columns={},
                )  # fmt: skip

    def test_alerts(self, ws: Workspace) -> None:
        subject = Node("endpoint", "delays")
        first = registry.record_alert(ws, severity="warning", subject=subject, message="drift", evidence={"share": 0.4})
        second = registry.record_alert(ws, severity="critical", subject=Node("endpoint", "other"), message="down")
        assert registry.alerts(ws) == [second, first]
        assert registry.alerts(ws, subject=subject) == [first] == registry.alerts(ws, severity="warning")
        with pytest.raises(DataError, match="'loud' is not valid: use one of info, warning, error, critical"):
            registry.record_alert(ws, severity="loud", subject=subject, message="x")

    def test_events_are_read_from_a_cursor(self, ws: Workspace) -> None:
        made = [registry.record_event(ws, kind, Node("model", "delay", "1"), {"n": n}) for n, kind in enumerate("aba")]
        assert registry.events(ws) == made
        assert registry.events(ws, after=made[0].id) == made[1:]
        assert registry.events(ws, kind="a", limit=1) == made[:1]
        assert registry.events(ws, subject=Node("model", "delay", "2")) == []

    def test_a_reader_that_follows_the_cursor_misses_no_event(self, ws: Workspace) -> None:
        subject, seen, last = Node("model", "delay"), list[int](), 0
        with ThreadPoolExecutor(4) as pool:
            writers = [
                pool.submit(lambda: [registry.record_event(ws, "x", subject) for _ in range(15)]) for _ in "abcd"
            ]
            while not all(writer.done() for writer in writers):
                new = registry.events(ws, after=last)
                seen += [event.id for event in new]
                last = seen[-1] if seen else 0
            written = [event.id for writer in writers for event in writer.result()]
        seen += [event.id for event in registry.events(ws, after=last)]
        assert seen == sorted(written) and len(seen) == 60
