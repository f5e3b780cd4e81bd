"""Reading runs with all that belongs to them, a page in a few queries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import Session

from ..records import Run
from ..rows import parsed
from ..schema import MAPPERS
from .bulk import read_in
from .experiments import location
from .labels import unpacked
from .values import Dataset, Measurement, ModelLink, RunView

_TABLES = MAPPERS.metadata.tables
Labels = dict[str, tuple[str, bool]]
_RUN, _EXPERIMENT = _TABLES["run"], _TABLES["experiment"]


def select_runs() -> Select[Any]:
    """The query of runs that `views` reads: every column of a run, and where its experiment keeps artifacts."""
    of_experiment = _RUN.join(_EXPERIMENT, _RUN.c.experiment_id == _EXPERIMENT.c.id)
    return select(_RUN, _EXPERIMENT.c.artifact_location).select_from(of_experiment)


def views(session: Session, query: Select[Any], values: Mapping[str, Any] | None = None) -> list[RunView]:
    """The runs of a query made from `select_runs`, with values for its parameters, in its order."""
    rows = session.connection().execute(query, values).all()
    seqs = [row.seq for row in rows]
    params, tags = _labels(session, "param", seqs), _labels(session, "tag", seqs)
    metrics, datasets, models = _metrics(session, seqs), _datasets(session, seqs), _models(session, seqs)
    return [
        _view(row, params[row.seq], tags[row.seq], metrics[row.seq], datasets[row.seq], models[row.seq]) for row in rows
    ]


def head(row: Any) -> RunView:
    """A row of `select_runs` alone: no parameters, tags, metrics, data sets and models are read."""
    return _view(row, {}, {}, (), (), ())


def _view(
    row: Any,
    params: Labels,
    tags: Labels,
    metrics: Iterable[Measurement],
    datasets: Iterable[Dataset],
    models: Iterable[ModelLink],
) -> RunView:
    return RunView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        status=row.status,
        lifecycle=row.lifecycle,
        experiment_id=row.experiment_id,
        artifact_uri=artifact_uri(row.experiment_id, row.artifact_location, row.id),
        user_id=row.user_id,
        parent=row.parent,
        created_at=row.created_at,
        ended_at=row.ended_at,
        params=params,
        tags=tags,
        metrics=tuple(metrics),
        datasets=tuple(datasets),
        models=tuple(models),
        inputs=parsed(row.inputs),
        outputs=parsed(row.outputs),
        artifact=row.artifact,
        error=row.error,
    )


def artifact_uri(experiment_id: int, given: str | None, run_id: str) -> str:
    """Where the artifacts of a run are, in an experiment whose artifacts are at `given`.

    Example:
        >>> artifact_uri(3, None, "1f2e")
        'mlflow-artifacts:/3/1f2e/artifacts'
    """
    return f"{location(experiment_id, given).rstrip('/')}/{run_id}/artifacts"


def record(view: RunView) -> Run:
    """The run as the Python API shows it: values with their types."""
    return Run(
        id=view.id,
        kind=view.kind,
        name=view.name,
        status=view.status,
        params=unpacked((key, *packed) for key, packed in view.params.items()),
        metrics={metric.key: metric.value for metric in view.metrics},
        tags=unpacked((key, *packed) for key, packed in view.tags.items()),
        inputs=view.inputs,
        parent=view.parent,
        artifact=view.artifact,
        error=view.error,
        created_at=view.created_at,
        ended_at=view.ended_at,
        outputs=view.outputs,
        experiment_id=view.experiment_id,
        lifecycle=view.lifecycle,
    )


def latest_metrics(session: Session, run_seq: int) -> dict[str, float]:
    """The latest value of every metric of a run."""
    return {metric.key: metric.value for metric in _metrics(session, [run_seq])[run_seq]}


def _labels(session: Session, table: str, seqs: Sequence[int]) -> dict[int, Labels]:
    found: dict[int, Labels] = {seq: {} for seq in seqs}
    for seq, key, text, typed in _of_runs(session, table, "run_seq, key, value, typed", seqs):
        found[seq][key] = (text, bool(typed))
    return found


def _metrics(session: Session, seqs: Sequence[int]) -> dict[int, list[Measurement]]:
    found: dict[int, list[Measurement]] = {seq: [] for seq in seqs}
    columns = "run_seq, key, value, step, logged_at, is_nan"
    for seq, key, value, step, at, is_nan in _of_runs(session, "metric_latest", columns, seqs):
        found[seq].append(Measurement(key, math.nan if is_nan else float(value), step, at))
    return found


def _datasets(session: Session, seqs: Sequence[int]) -> dict[int, list[Dataset]]:
    found: dict[int, list[Dataset]] = {seq: [] for seq in seqs}
    joined = "dataset_input JOIN dataset ON dataset_input.dataset_id = dataset.id"
    columns = "run_seq, dataset.id, name, digest, source_type, source, columns, profile, context, tags"
    for row in sorted(_of_runs(session, joined, columns, seqs), key=lambda row: row[:2]):
        name, digest, source_type, source, schema, profile, context, tags = row[2:]
        dataset = Dataset(name, digest, source_type, source, schema, profile, context, json.loads(tags))
        found[row[0]].append(dataset)
    return found


def _models(session: Session, seqs: Sequence[int]) -> dict[int, list[ModelLink]]:
    found: dict[int, list[ModelLink]] = {seq: [] for seq in seqs}
    for seq, *link in _of_runs(session, "run_model", "run_seq, role, model_id, step", seqs):
        found[seq].append(ModelLink(*link))
    return found


def _of_runs(session: Session, table: str, columns: str, seqs: Sequence[int]) -> Iterable[Any]:
    return read_in(session.connection(), table, columns, "run_seq", seqs)
