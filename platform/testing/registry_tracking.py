"""The registry's contract: experiments, logging, measurements, deletion and purge."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from .. import registry
from ..core import Conflict, DataError, Deleted, Node, NotFound, Workspace
from ..registry.tracking.metrics import append_to_tag
from .registry_steps import finished, together


class TrackingContract:
    """Experiments and what is logged to their runs."""

    def test_an_experiment_from_creation_to_restoration(self, ws: Workspace) -> None:
        made = registry.create_experiment(ws, "delays", tags={"team": "ops"}, artifact_location="s3://b/x")
        assert (made.name, made.lifecycle, made.artifact_location, made.tags) == (
            "delays",
            "active",
            "s3://b/x",
            {"team": "ops"},
        )
        assert registry.experiment(ws, "delays") == registry.experiment(ws, made.id) == made
        run = registry.start_run(ws, "fit", "x", experiment="delays")
        registry.delete_experiment(ws, made.id)
        assert registry.experiment(ws, made.id).lifecycle == registry.run(ws, run.id).lifecycle == "deleted"
        changes: tuple[Callable[[], object], ...] = (
            lambda: registry.start_run(ws, "fit", "y", experiment=made.id),
            lambda: registry.set_experiment_tags(ws, made.id, {"a": "b"}),
            lambda: registry.rename_experiment(ws, made.id, "other"),
        )
        for change in changes:
            with pytest.raises(Deleted, match="Restore it first"):
                change()
        with pytest.raises(Conflict, match="restore it, or purge it"):
            registry.create_experiment(ws, "delays")
        registry.restore_experiment(ws, made.id)
        assert registry.run(ws, run.id) == run

    def test_the_default_experiment_and_its_heirs(self, ws: Workspace) -> None:
        assert registry.experiment(ws, 0).name == "Default"
        made = registry.create_experiment(ws, "delays")
        study = registry.start_run(ws, "study", "s", experiment=made.id)
        trial = registry.start_run(ws, "trial", "t", parent=study.id)
        alone = registry.start_run(ws, "fit", "f")
        assert (study.experiment_id, trial.experiment_id, alone.experiment_id) == (made.id, made.id, 0)
        assert [run.name for run in registry.runs(ws, experiment=made.id)] == ["t", "s"]

    def test_names_of_experiments_are_unique_also_in_a_race(self, ws: Workspace) -> None:
        results = together([lambda: registry.create_experiment(ws, "same") for _ in range(6)])
        assert sum(isinstance(result, registry.Experiment) for result in results) == 1
        for unknown in ("nope", 99):
            with pytest.raises(NotFound):
                registry.experiment(ws, unknown)

    def test_several_values_of_one_step_are_all_kept(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        with registry.MetricWriter(ws, run.id) as writer:
            for step, value, second in ((1, 0.5, 3), (1, 0.7, 1), (0, 0.1, 9), (1, math.nan, 2), (1, 0.5, 3)):
                writer.log({"auc": value}, step=step, at=datetime.fromtimestamp(second, UTC))
        found = registry.measurements(ws, run.id, "auc")
        shown = [(point.step, repr(point.value), point.at.timestamp()) for point in found]
        assert shown == [(1, "0.7", 1), (1, "nan", 2), (1, "0.5", 3), (0, "0.1", 9)]
        assert registry.run(ws, run.id).metrics == {"auc": 0.5}
        assert registry.metric_history(ws, run.id, "auc") == [(0, 0.1), (1, 0.5)]
        assert registry.measurements(ws, "nope", "auc") == []

    def test_a_final_figure_has_a_history(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        registry.log_metrics(ws, run.id, {"loss": 0.9, "same": 1.0, "nan": math.nan}, step=7)
        registry.finish_run(ws, run.id, metrics={"loss": 0.8, "same": 1.0, "nan": math.nan, "new": 2.0})
        history = {key: registry.metric_history(ws, run.id, key) for key in ("loss", "same", "new")}
        assert history == {"loss": [(7, 0.8)], "same": [(7, 1.0)], "new": [(0, 2.0)]}
        counts = [len(registry.measurements(ws, run.id, key)) for key in ("loss", "same", "nan", "new")]
        assert counts == [2, 1, 1, 1]

    def test_a_parameter_never_changes(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x", params={"depth": 6, "flag": True, "by": "me"})
        registry.log_params(ws, run.id, {"depth": 6, "rate": 0.5})
        with pytest.raises(DataError, match="already logged with value='6'"):
            registry.log_params(ws, run.id, {"other": 1, "depth": 7})
        assert registry.run(ws, run.id).params == {"depth": 6, "flag": True, "by": "me", "rate": 0.5}
        results = together([partial(_tried, ws, run.id, n) for n in range(6)])
        assert sorted(map(str, results)).count("refused") == 5

    def test_tags_change_and_go(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x", tags={"by": "me", "n": 1})
        registry.set_tags(ws, run.id, {"by": "you", "list": [1, None], "odd": "\x00"})
        registry.delete_tag(ws, run.id, "n")
        assert registry.run(ws, run.id).tags == {"by": "you", "list": [1, None], "odd": "\x00"}
        with pytest.raises(NotFound, match="No tag with name: n"):
            registry.delete_tag(ws, run.id, "n")

    def test_a_deleted_run_is_hidden_and_unchangeable_until_it_is_restored(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")
        registry.delete_run(ws, run.id)
        assert registry.runs(ws) == [] and registry.search_runs(ws).items == ()
        assert [found.id for found in registry.search_runs(ws, lifecycle="deleted").items] == [run.id]
        changes: tuple[Callable[[], object], ...] = (
            lambda: registry.log_metrics(ws, run.id, {"a": 1.0}),
            lambda: registry.set_tags(ws, run.id, {"a": "b"}),
            lambda: registry.log_inputs(ws, run.id, [registry.Dataset("d", "1")]),
        )
        for change in changes:
            with pytest.raises(Deleted):
                change()
        registry.restore_run(ws, run.id)
        registry.log_metrics(ws, run.id, {"a": 1.0})
        assert [found.metrics for found in registry.runs(ws)] == [{"a": 1.0}]

    def test_purged_is_gone(self, ws: Workspace) -> None:
        made = registry.create_experiment(ws, "delays")
        raw = Node("table", "main.flights", "3")
        study = registry.start_run(ws, "study", "s", experiment=made.id)
        run = registry.start_run(
            ws, "fit", "x", parent=study.id, params={"a": 1}, tags={"b": "c"}, inputs=[raw], experiment=made.id
        )
        registry.log_metrics(ws, run.id, {"auc": 1.0})
        registry.log_inputs(ws, run.id, [registry.Dataset("d", "1", context="train")])
        with pytest.raises(Conflict, match="only a deleted run can be purged"):
            registry.purge_run(ws, run.id)
        registry.delete_experiment(ws, made.id)
        assert registry.purge_deleted(ws, older_than=timedelta(hours=1)) == []
        assert registry.purge_deleted(ws) == [study.id, run.id]
        with pytest.raises(NotFound):
            registry.run(ws, run.id)
        with pytest.raises(NotFound):
            registry.experiment(ws, made.id)
        assert registry.downstream(ws, raw) == [] and registry.measurements(ws, run.id, "auc") == []
        assert _rows(ws) == dict.fromkeys(_OF_RUNS, 0)
        assert registry.create_experiment(ws, "delays").id > made.id

    def test_a_run_that_made_a_registered_model_is_kept(self, ws: Workspace) -> None:
        run = finished(ws, auc=0.7)
        registry.register(ws, run, name="delay")
        registry.delete_run(ws, run.id)
        assert registry.purge_deleted(ws) == []
        with pytest.raises(Conflict, match="registered model delay@1"):
            registry.purge_run(ws, run.id)

    def test_writers_of_the_same_run_lose_nothing(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x")

        def log(worker: int) -> None:
            with registry.MetricWriter(ws, run.id) as writer:
                for step in range(50):
                    writer.log({"shared": worker + step / 100, f"own{worker}": step}, step=step)

        together([partial(log, n) for n in range(4)])
        together([partial(registry.log_metrics, ws, run.id, {"sync": n}, step=n) for n in range(4)])
        assert len(registry.measurements(ws, run.id, "shared")) == 200
        latest = registry.run(ws, run.id).metrics
        assert latest.pop("shared") in [worker + 0.49 for worker in range(4)]
        assert latest == {**{f"own{n}": 49 for n in range(4)}, "sync": 3}

    def test_a_tag_that_grows_at_once_in_several_hands_loses_nothing(self, ws: Workspace) -> None:
        run = registry.start_run(ws, "fit", "x").id
        results = together([partial(append_to_tag, ws, run, "made", {"n": number}) for number in range(12)])
        assert results == [None] * 12
        made = json.loads(registry.run(ws, run).tags["made"])
        assert sorted(each["n"] for each in made) == [*range(12)]
        registry.set_tags(ws, run, {"made": "by hand"})
        with pytest.raises(DataError, match=r"tag 'made' of run .* is no JSON list but 'by hand'"):
            append_to_tag(ws, run, "made", 1)
        with pytest.raises(NotFound):
            append_to_tag(ws, "0" * 32, "made", 1)

    def test_what_a_writer_was_refused_is_raised(self, ws: Workspace) -> None:
        ended, running = finished(ws), registry.start_run(ws, "fit", "x")
        writers = [registry.MetricWriter(ws, run_id) for run_id in (ended.id, "nope", running.id)]
        for writer in writers:
            writer.log({"auc": 0.7})
        with pytest.raises(Conflict, match="has ended"):
            writers[0].flush()
        with pytest.raises(NotFound):
            writers[1].flush()
        writers[2].flush()
        assert registry.run(ws, running.id).metrics == {"auc": 0.7}


_OF_RUNS = (
    *("run", "param", "tag", "metric", "metric_latest", "dataset", "dataset_input", "run_model"),
    "lineage_edge",
)


def _tried(ws: Workspace, run_id: str, number: int) -> str:
    try:
        registry.log_params(ws, run_id, {"raced": number})
    except DataError:
        return "refused"
    return "taken"


def _rows(ws: Workspace) -> dict[str, int]:
    from sqlalchemy import text

    from ..registry.engine import reading

    with reading(ws) as session:
        return {table: session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in _OF_RUNS}
