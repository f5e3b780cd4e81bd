"""The registry's contract: runs, trials and metrics."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from .. import registry
from ..core import Conflict, DataError, Node, NotFound, Workspace
from ..registry import Edge
from .registry_steps import DIGEST, together


class RunsContract:
    """Runs, trials and metrics."""

    def test_a_run_from_start_to_end(self, ws: Workspace) -> None:
        raw, out = Node("table", "main.flights", "3"), Node("table", "main.scores", "0")
        started = registry.start_run(ws, "fit", "first", params={"depth": 6}, tags={"by": "me"}, inputs=[raw, raw])
        assert (started.status, started.ended_at, started.inputs) == ("running", None, (raw,))
        registry.log_metrics(ws, started.id, {"auc": 0.6, "loss": 0.9})
        ended = registry.finish_run(ws, started.id, metrics={"auc": 0.7}, outputs=[out], artifact=DIGEST)
        assert registry.run(ws, started.id) == ended
        assert ended.metrics == {"auc": 0.7, "loss": 0.9}
        assert (ended.status, ended.artifact, ended.outputs, ended.params) == ("finished", DIGEST, (out,), {"depth": 6})
        assert ended.ended_at is not None and ended.ended_at >= ended.created_at
        assert registry.downstream(ws, raw) == [Edge(raw, ended.node), Edge(ended.node, out)]

    def test_an_ended_run_is_immutable(self, ws: Workspace) -> None:
        run = registry.finish_run(ws, registry.start_run(ws, "fit", "x").id, status="failed", error="out of memory")
        with pytest.raises(Conflict, match="has ended with status 'failed'"):
            registry.finish_run(ws, run.id)
        with pytest.raises(Conflict):
            registry.log_metrics(ws, run.id, {"auc": 1.0})
        assert registry.run(ws, run.id) == run
        assert run.error == "out of memory"

    def test_metrics_keep_their_history_and_every_kind_of_float(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        for step, value in ((2, 0.5), (0, math.inf), (1, math.nan), (2, 0.25)):
            registry.log_metrics(ws, run.id, {"auc": value, "n": np.float64(step)}, step=step)
        history = registry.metric_history(ws, run.id, "auc")
        assert [step for step, _ in history] == [0, 1, 2]
        assert history[0][1] == math.inf and math.isnan(history[1][1]) and history[2][1] == 0.25
        assert registry.metric_history(ws, run.id, "unknown") == []
        ended = registry.finish_run(ws, run.id, metrics={"auc": math.nan})
        assert math.isnan(registry.run(ws, ended.id).metrics["auc"])

    def test_parameters_become_plain_json(self, ws: Workspace, tmp_path: object) -> None:
        params = {
            "depth": np.int64(6),
            "rates": np.array([0.5, 1.0]),
            "since": datetime(2013, 1, 1, tzinfo=UTC),
            "node": Node("model", "m", "1"),
            "nested": {"tuple": (1, None, True)},
            "text": "a\x00b\ud800 ü",
        }
        found = registry.run(ws, registry.start_run(ws, "fit", "x", params=params).id).params
        assert found == {
            "depth": 6,
            "rates": [0.5, 1.0],
            "since": "2013-01-01T00:00:00+00:00",
            "node": "model:m@1",
            "nested": {"tuple": [1, None, True]},
            "text": "a\x00b\ud800 ü",
        }

    def test_what_cannot_be_recorded_names_its_key(self, ws: Workspace) -> None:
        with pytest.raises(DataError, match=r"params\['model'\].*type object"):
            registry.start_run(ws, "fit", "x", params={"model": object()})
        run = registry.start_run(ws, "fit", "x")
        with pytest.raises(DataError, match="'auc' = 'high' is not a number"):
            registry.log_metrics(ws, run.id, {"auc": "high"})  # type: ignore[dict-item]
        with pytest.raises(DataError):
            registry.log_metrics(ws, run.id, {"auc": 1.0}, step=2**64)
        with pytest.raises(DataError, match="'done' of a run is not valid: use one of finished"):
            registry.finish_run(ws, run.id, status="done")  # type: ignore[arg-type]
        assert registry.run(ws, run.id) == run

    def test_text_that_a_database_refuses_is_cleaned(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "na\x00me")
        assert registry.finish_run(ws, run.id, status="failed", error="bad \udcff byte \x00").status == "failed"
        found = registry.run(ws, run.id)
        assert (found.name, found.error) == ("na\ufffdme", "bad \ufffd byte \ufffd")
        assert [run.id for run in registry.runs(ws, name="na\x00me")] == [found.id]

    def test_listings_filter_and_are_newest_first(self, ws: Workspace) -> None:
        study = registry.start_run(ws, "study", "search")
        made = [registry.start_run(ws, "trial", f"t{i}", parent=study.id) for i in range(3)]
        registry.finish_run(ws, made[1].id)
        assert [run.name for run in registry.runs(ws)] == ["t2", "t1", "t0", "search"]
        assert [run.name for run in registry.runs(ws, limit=2)] == ["t2", "t1"]
        assert [run.name for run in registry.runs(ws, kind="trial", status="running")] == ["t2", "t0"]
        assert [run.name for run in registry.runs(ws, name="t1", parent=study.id)] == ["t1"]
        assert [run.name for run in registry.trials(ws, study.id)] == ["t0", "t1", "t2"]

    def test_unknown_runs(self, ws: Workspace) -> None:
        for call in (
            lambda: registry.run(ws, "nope"),
            lambda: registry.finish_run(ws, "nope"),
            lambda: registry.log_metrics(ws, "nope", {}),
            lambda: registry.metric_history(ws, "nope", "auc"),
            lambda: registry.start_run(ws, "trial", "t", parent="nope"),
            lambda: registry.register(ws, "nope", name="m"),
        ):
            with pytest.raises(NotFound, match="run 'nope' is not recorded"):
                call()
        assert registry.runs(ws) == []

    def test_of_many_who_finish_a_run_one_wins(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        results = together([lambda: registry.finish_run(ws, run.id) for _ in range(6)])
        assert sum(isinstance(result, Conflict) for result in results) == 5
