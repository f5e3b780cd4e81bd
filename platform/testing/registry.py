"""The registry's contract as tests that any database must pass: subclass and give it a `ws` fixture.

Example:
    >>> class TestSqlite(RegistryConformance):
    ...     pass
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raylake import registry
from raylake.core import Conflict, DataError, InvalidName, Node, NotFound, Ref, StorageError, Workspace
from raylake.registry import Edge

DIGEST = "0" * 64
PROPERTY = settings(
    max_examples=40,
    deadline=None,
    # The workspace is shared by the examples on purpose: each takes names of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
Step = tuple[str, int, int | None]


def finished(ws: Workspace, **metrics: float) -> registry.Run:
    """A finished run that has an artifact."""
    return registry.finish_run(ws, registry.start_run(ws, "fit", "fit").id, metrics=metrics, artifact=DIGEST)


def walk_by_hand(edges: Iterable[Edge], start: Node, depth: int | None, *, up: bool) -> set[Edge]:
    """The oracle of the lineage walk: breadth first, edge by edge."""
    everything, reached, found = set(edges), {start}, set[Edge]()
    level = 0
    while depth is None or level < depth:
        new = {
            edge
            for edge in everything - found
            if any(same_thing(edge.target if up else edge.source, node) for node in reached)
        }
        if not new:
            break
        found |= new
        reached |= {edge.source if up else edge.target for edge in new}
        level += 1
    return found


def same_thing(one: Node, other: Node) -> bool:
    """Whether two nodes match: equal, or one of them without a version."""
    versions = one.version == other.version or not one.version or not other.version
    return (one.kind, one.name) == (other.kind, other.name) and versions


def together(actions: Iterable[Callable[[], object]]) -> list[object]:
    """Run the actions in threads that start at the same moment; results and raylake's conflicts in order."""
    todo = list(actions)
    gate = Barrier(len(todo))

    def one(action: Callable[[], object]) -> object:
        gate.wait()
        try:
            return action()
        except Conflict as error:
            return error

    with ThreadPoolExecutor(len(todo)) as pool:
        return list(pool.map(one, todo))


class TablesContract:
    """Tables and versions."""

    def test_a_version_comes_back_as_it_was_recorded(self, ws: Workspace) -> None:
        made = registry.record_table(
            ws, "raw.flights", 3, rows=7, schema={"b": "int64", "a": "string"}, operation="ingest",
            metrics={"not_null(b)": {"checked": 7, "failed": 1}}, source="flights",
        )  # fmt: skip
        assert registry.table_version(ws, "raw.flights@3") == made
        assert list(made.schema) == ["b", "a"]
        assert (str(made), made.node, made.ref) == (
            "raw.flights@3",
            Node("table", "raw.flights", "3"),
            Ref("flights", version=3, namespace="raw"),
        )
        assert made.metrics == {"not_null(b)": {"checked": 7, "failed": 1}}

    def test_recording_again_keeps_the_first(self, ws: Workspace) -> None:
        first = registry.record_table(ws, "flights", 0, rows=1, schema={}, operation="ingest")
        again = registry.record_table(ws, "flights@9", 0, rows=2, schema={}, operation="other")
        assert again == first
        assert registry.table_versions(ws, "flights") == [first]

    def test_unpinned_is_the_highest_version_not_the_last_recorded(self, ws: Workspace) -> None:
        for version in (2, 10, 9):
            registry.record_table(ws, "flights", version, rows=None, schema={}, operation="write")
        registry.record_table(ws, "weather", 0, rows=None, schema={}, operation="write")
        assert registry.table_version(ws, "flights").version == 10
        assert [found.version for found in registry.table_versions(ws, Ref("flights"))] == [2, 9, 10]
        assert [str(found) for found in registry.tables(ws)] == ["flights@10", "weather@0"]

    def test_the_unknown_is_answered_with_what_exists(self, ws: Workspace) -> None:
        registry.record_table(ws, "flights", 4, rows=None, schema={}, operation="write")
        with pytest.raises(NotFound, match=r"'flight' is not recorded; recorded tables: flights"):
            registry.table_version(ws, "flight")
        for version in (5, 2**63, 10**30):
            with pytest.raises(NotFound, match=rf"version {version} of table 'flights'.*versions: 4"):
                registry.table_version(ws, f"flights@{version}")

    def test_bad_names_and_values_are_refused(self, ws: Workspace) -> None:
        for bad in ("../x", "a.b.c", "Flights", "flights@champion", ""):
            with pytest.raises(InvalidName):
                registry.record_table(ws, bad, 0, rows=0, schema={}, operation="write")
        with pytest.raises(InvalidName, match="64 bits"):
            registry.record_table(ws, "flights", 2**63, rows=0, schema={}, operation="write")
        with pytest.raises(DataError):
            registry.record_table(ws, "flights", 0, rows=2**64, schema={}, operation="write")
        assert registry.tables(ws) == []


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
            registry.log_metrics(ws, run.id, {"auc": value, "n": np.float32(step)}, step=step)
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


class ModelsContract:
    """Models, versions and aliases."""

    def test_versions_count_from_one_and_carry_their_run(self, ws: Workspace) -> None:
        runs = [finished(ws, auc=0.6), finished(ws, auc=0.7)]
        first, second = (registry.register(ws, run, name="delay", description="d") for run in runs)
        assert (str(first), str(second), second.metrics) == ("delay@1", "delay@2", {"auc": 0.7})
        assert (second.run_id, second.artifact, second.description) == (runs[1].id, DIGEST, "d")
        assert registry.model_version(ws, "delay") == second
        assert registry.model_versions(ws, "delay") == [first, second]
        assert registry.upstream(ws, second.node) == [Edge(runs[1].node, second.node)]

    def test_the_same_run_is_the_same_version(self, ws: Workspace) -> None:
        run = finished(ws)
        first = registry.register(ws, run, name="delay")
        assert registry.register(ws, run.id, name="delay") == first
        again = registry.register(ws, run, name="delay", alias="champion")
        assert (again.version, again.aliases) == (1, ("champion",))
        assert registry.register(ws, run, name="other").version == 1

    def test_only_finished_runs_with_an_artifact(self, ws: Workspace) -> None:
        running = registry.start_run(ws, "fit", "x")
        with pytest.raises(Conflict, match="has status 'running'"):
            registry.register(ws, running, name="delay")
        with pytest.raises(Conflict, match="has no artifact"):
            registry.register(ws, registry.finish_run(ws, running.id), name="delay")
        assert registry.models(ws) == []

    def test_an_artifact_without_a_run(self, ws: Workspace) -> None:
        raw = Node("table", "main.flights", "3")
        made = registry.register_artifact(ws, DIGEST, name="delay", metrics={"auc": math.nan}, inputs=[raw])
        assert made.run_id is None and math.isnan(made.metrics["auc"])
        assert registry.register_artifact(ws, DIGEST, name="delay").version == 2
        assert registry.downstream(ws, raw) == [Edge(raw, made.node)]
        with pytest.raises(InvalidName, match="64 hexadecimal digits"):
            registry.register_artifact(ws, "../../etc/passwd", name="delay")

    def test_an_alias_moves_and_remembers(self, ws: Workspace) -> None:
        for alias in ("champion", None, None):
            registry.register(ws, finished(ws), name="delay", alias=alias)
        moved = registry.set_alias(ws, "delay", "champion", 3, expected=1)
        assert (moved.version, moved.aliases) == (3, ("champion",))
        registry.set_alias(ws, "delay", "champion", 3)
        registry.set_alias(ws, "delay", "champion", 1)
        registry.set_alias(ws, "delay", "backup", 1)
        assert registry.model_version(ws, "delay@champion").aliases == ("backup", "champion")
        history = registry.alias_history(ws, "delay", "champion")
        assert [version for version, _ in history] == [1, 3, 1]
        assert [since for _, since in history] == sorted(since for _, since in history)
        assert registry.alias_history(ws, "delay", "nothing") == []
        (model,) = registry.models(ws)
        assert (model.name, model.latest, model.aliases) == ("delay", 3, {"backup": 1, "champion": 1})

    def test_expected_guards_the_move(self, ws: Workspace) -> None:
        for _ in range(2):
            registry.register(ws, finished(ws), name="delay")
        with pytest.raises(Conflict, match="points at no version, expected: version 1"):
            registry.set_alias(ws, "delay", "champion", 2, expected=1)
        registry.set_alias(ws, "delay", "champion", 1, expected=None)
        for expected in (2, None):
            with pytest.raises(Conflict, match="points at version 1"):
                registry.set_alias(ws, "delay", "champion", 2, expected=expected)
        assert [version for version, _ in registry.alias_history(ws, "delay", "champion")] == [1]

    def test_the_unknown_is_answered_with_what_exists(self, ws: Workspace) -> None:
        with pytest.raises(NotFound, match="'delay' is not registered; registered models: none"):
            registry.model_version(ws, "delay@1")
        registry.register(ws, finished(ws), name="delay", alias="champion")
        with pytest.raises(NotFound, match="no alias 'winner'; newest versions: 1; aliases: champion"):
            registry.model_version(ws, "delay@winner")
        for version in (0, 2, 10**30):
            with pytest.raises(NotFound, match=f"no version {version};"):
                registry.model_version(ws, f"delay@{version}")
        with pytest.raises(NotFound):
            registry.set_alias(ws, "delay", "champion", 2)
        with pytest.raises(NotFound, match="'dela' is not registered; registered models: delay"):
            registry.set_alias(ws, "dela", "champion", 1)
        assert registry.model_versions(ws, "dela") == []

    def test_an_alias_that_reads_as_a_version_undoes_everything(self, ws: Workspace) -> None:
        run = finished(ws)
        for bad in ("3", "Champion", "a@b"):
            with pytest.raises(InvalidName):
                registry.register(ws, run, name="delay", alias=bad)
        with pytest.raises(InvalidName):
            registry.model_version(ws, "raw.delay")
        assert registry.models(ws) == [] and registry.upstream(ws, "model:delay") == []

    def test_versions_made_at_once_are_distinct(self, ws: Workspace) -> None:
        runs = [finished(ws) for _ in range(6)]
        made = together([lambda run=run: registry.register(ws, run, name="delay") for run in runs])  # type: ignore[misc]
        assert sorted(str(version) for version in made) == [f"delay@{n}" for n in range(1, 7)]

    def test_the_same_run_registered_at_once_is_one_version(self, ws: Workspace) -> None:
        run = finished(ws)
        made = together([lambda: registry.register(ws, run, name="delay", alias="champion") for _ in range(6)])
        assert {str(version) for version in made} == {"delay@1"}
        assert len(registry.alias_history(ws, "delay", "champion")) == 1

    def test_of_many_moves_with_the_same_expectation_one_wins(self, ws: Workspace) -> None:
        for _ in range(6):
            registry.register(ws, finished(ws), name="delay")
        results = together(
            [
                lambda to=to: registry.set_alias(ws, "delay", "champion", to, expected=None)  # type: ignore[misc]
                for to in range(1, 7)
            ]
        )
        assert sum(isinstance(result, Conflict) for result in results) == 5
        assert len(registry.alias_history(ws, "delay", "champion")) == 1

    @PROPERTY
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["champion", "backup"]),
                st.integers(1, 3),
                st.one_of(st.just(-1), st.none(), st.integers(1, 3)),
            ),
            max_size=8,
        )
    )
    def test_aliases_are_a_mapping_with_compare_and_set(self, ws: Workspace, steps: list[Step]) -> None:
        name = f"m{uuid4().hex}"
        for _ in range(3):
            registry.register_artifact(ws, DIGEST, name=name)
        pointers: dict[str, int] = {}
        moves: dict[str, list[int]] = {"champion": [], "backup": []}
        for alias, version, guard in steps:
            expected = registry.UNSET if guard == -1 else guard
            if guard != -1 and pointers.get(alias) != guard:
                with pytest.raises(Conflict):
                    registry.set_alias(ws, name, alias, version, expected=expected)
                continue
            registry.set_alias(ws, name, alias, version, expected=expected)
            if pointers.get(alias) != version:
                moves[alias].append(version)
            pointers[alias] = version
        found = {alias: v.version for v in registry.model_versions(ws, name) for alias in v.aliases}
        assert found == pointers
        for alias, versions in moves.items():
            assert [version for version, _ in registry.alias_history(ws, name, alias)] == versions


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


class LineageContract:
    """The lineage graph."""

    def test_both_ways_and_to_a_depth(self, ws: Workspace) -> None:
        chain = [Node("table", "main.raw", "1"), Node("run", "r"), Node("model", "m", "1"), Node("endpoint", "e")]
        edges = [Edge(one, two) for one, two in zip(chain, chain[1:], strict=False)]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        assert registry.downstream(ws, chain[0]) == edges == registry.upstream(ws, str(chain[-1]))
        assert registry.downstream(ws, chain[0], depth=2) == edges[:2]
        assert registry.upstream(ws, chain[-1], depth=1) == edges[2:]
        assert registry.upstream(ws, chain[-1], depth=0) == [] == registry.upstream(ws, chain[0])
        assert registry.downstream(ws, chain[0], depth=2**80) == edges
        with pytest.raises(DataError, match="depth -1"):
            registry.upstream(ws, chain[0], depth=-1)

    def test_a_maker_stands_between_and_edges_are_idempotent(self, ws: Workspace) -> None:
        inputs, outputs, by = [Node("table", "main.a"), Node("table", "main.b")], [Node("view", "v")], Node("run", "r")
        for _ in range(2):
            registry.add_lineage(ws, inputs, outputs, by=by)
        assert registry.upstream(ws, "view:v") == [Edge(inputs[0], by), Edge(inputs[1], by), Edge(by, outputs[0])]
        registry.add_lineage(ws, inputs, [])
        assert len(registry.upstream(ws, "view:v")) == 3

    def test_without_a_version_means_all_versions(self, ws: Workspace) -> None:
        one, two, every = (Node("table", "main.raw", version) for version in ("1", "2", ""))
        targets = [Node("model", "m", str(n)) for n in range(3)]
        edges = [Edge(source, target) for source, target in zip((one, two, every), targets, strict=True)]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        assert registry.downstream(ws, every) == edges
        assert registry.downstream(ws, one) == [edges[0], edges[2]]
        assert registry.downstream(ws, "table:main.raw@9") == [edges[2]]
        assert registry.downstream(ws, "table:main.ra") == []
        assert registry.upstream(ws, "model:m") == edges

    def test_a_cycle_ends(self, ws: Workspace) -> None:
        a, b = Node("table", "main.a", "1"), Node("table", "main.b", "1")
        registry.add_lineage(ws, [a], [b])
        registry.add_lineage(ws, [b], [a, b])
        assert len(registry.downstream(ws, a)) == 3 == len(registry.upstream(ws, a, depth=10**6))

    def test_edges_added_at_once(self, ws: Workspace) -> None:
        nodes = [Node("table", f"main.t{n}") for n in range(8)]
        orders = [nodes, nodes[::-1], nodes[4:] + nodes[:4], nodes[::2] + nodes[1::2]]
        together([lambda o=order: registry.add_lineage(ws, o, o[::-1]) for order in orders])  # type: ignore[misc]
        assert len(registry.downstream(ws, nodes[0])) == 64

    @PROPERTY
    @given(
        pairs=st.lists(st.tuples(*[st.tuples(st.integers(0, 4), st.sampled_from(["", "1", "2"]))] * 2), max_size=14),
        start=st.tuples(st.integers(0, 4), st.sampled_from(["", "1", "2"])),
        depth=st.one_of(st.none(), st.integers(0, 6)),
        up=st.booleans(),
    )
    def test_the_walk_equals_brute_force(
        self,
        ws: Workspace,
        pairs: list[tuple[tuple[int, str], tuple[int, str]]],
        start: tuple[int, str],
        depth: int | None,
        up: bool,
    ) -> None:
        prefix = uuid4().hex
        edges = [Edge(*(Node("table", f"{prefix}.{name}", version) for name, version in pair)) for pair in pairs]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        begin = Node("table", f"{prefix}.{start[0]}", start[1])
        found = (registry.upstream if up else registry.downstream)(ws, begin, depth=depth)
        assert len(found) == len(set(found))
        assert set(found) == walk_by_hand(edges, begin, depth, up=up)


class ProcessContract:
    """Several processes, forks, time."""

    def test_times_are_aware_utc_with_microseconds(self, ws: Workspace) -> None:
        before = datetime.now(UTC)
        run = finished(ws)
        after = datetime.now(UTC)
        assert run.ended_at is not None
        for moment in (run.created_at, run.ended_at, registry.run(ws, run.id).created_at):
            assert moment.utcoffset() == timedelta(0) and before <= moment <= after
        assert registry.run(ws, run.id) == run

    def test_processes_that_open_a_new_registry_at_once(self, ws: Workspace) -> None:
        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(4)
        workers = [context.Process(target=_open_and_record, args=(ws, gate, n)) for n in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert [found.version for found in registry.table_versions(ws, "flights")] == [0, 1, 2, 3]

    def test_a_forked_child_takes_its_own_connection(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        child = multiprocessing.get_context("fork").Process(target=_finish, args=(ws, run.id))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert registry.run(ws, run.id).status == "finished"
        assert registry.start_run(ws, "fit", "y").status == "running"

    def test_a_process_killed_inside_a_transaction_leaves_nothing(self, ws: Workspace) -> None:
        registry.start_run(ws, "fit", "before")
        child = multiprocessing.get_context("fork").Process(target=_die_in_transaction, args=(ws,))
        child.start()
        child.join(30)
        assert child.exitcode == -9
        registry.start_run(ws, "fit", "after")
        assert [run.name for run in registry.runs(ws)] == ["after", "before"]


class RegistryConformance(
    TablesContract, RunsContract, ModelsContract, OperationsContract, LineageContract, ProcessContract
):
    """The whole contract. A subclass gives a `ws` fixture: a `Workspace` with a new registry for every test."""


def _open_and_record(ws: Workspace, gate: Barrier, version: int) -> None:
    gate.wait()
    registry.record_table(ws, "flights", version, rows=0, schema={}, operation="write")


def _finish(ws: Workspace, run_id: str) -> None:
    registry.finish_run(ws, run_id)


def _die_in_transaction(ws: Workspace) -> None:
    from raylake.registry.engine import now, writing
    from raylake.registry.schema import RunRow

    with writing(ws) as session:
        values = dict.fromkeys(("params", "metrics", "tags"), {})
        row = RunRow(
            id="x", kind="fit", name="lost", status="running", inputs=[], outputs=[], created_at=now(), **values
        )
        session.add(row)
        session.flush()
        os.kill(os.getpid(), 9)


__all__ = ["RegistryConformance", "StorageError", "same_thing", "walk_by_hand"]
