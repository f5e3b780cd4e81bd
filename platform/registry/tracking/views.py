"""Reading runs with all that belongs to them, a page in a few queries."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import Session

from ..records import Run
from ..rows import parsed
from ..schema import DatasetInputRow, DatasetRow, ExperimentRow, LatestMetricRow, ParamRow, RunModelRow, RunRow, TagRow
from .experiments import location
from .labels import unpacked
from .values import Dataset, Measurement, ModelLink, RunView

_RUN, _EXPERIMENT = RunRow.__table__, ExperimentRow.__table__  # type: ignore[attr-defined]
_LATEST, _DATASET = LatestMetricRow.__table__, DatasetRow.__table__  # type: ignore[attr-defined]
_INPUT, _MODEL = DatasetInputRow.__table__, RunModelRow.__table__  # type: ignore[attr-defined]
_PARAM, _TAG = ParamRow.__table__, TagRow.__table__  # type: ignore[attr-defined]
_MOST = 10_000  # values in one IN


def select_runs() -> Select[Any]:
    """The query of runs that `views` reads: every column of a run, and where its experiment keeps artifacts."""
    of_experiment = _RUN.join(_EXPERIMENT, _RUN.c.experiment_id == _EXPERIMENT.c.id)
    return select(_RUN, _EXPERIMENT.c.artifact_location).select_from(of_experiment)


def views(session: Session, query: Select[Any]) -> list[RunView]:
    """The runs of a query made from `select_runs`, in its order."""
    rows = session.execute(query).all()
    seqs = [row.seq for row in rows]
    params, tags = _labels(session, _PARAM, seqs), _labels(session, _TAG, seqs)
    metrics, datasets, models = _metrics(session, seqs), _datasets(session, seqs), _models(session, seqs)
    return [
        RunView(
            id=row.id,
            kind=row.kind,
            name=row.name,
            status=row.status,
            lifecycle=row.lifecycle,
            experiment_id=row.experiment_id,
            artifact_uri=f"{location(row.experiment_id, row.artifact_location).rstrip('/')}/{row.id}/artifacts",
            user_id=row.user_id,
            parent=row.parent,
            created_at=row.created_at,
            ended_at=row.ended_at,
            params=params[row.seq],
            tags=tags[row.seq],
            metrics=tuple(metrics[row.seq]),
            datasets=tuple(datasets[row.seq]),
            models=tuple(models[row.seq]),
            inputs=parsed(row.inputs),
            outputs=parsed(row.outputs),
            artifact=row.artifact,
            error=row.error,
        )
        for row in rows
    ]


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


def _parts(seqs: Sequence[int]) -> Iterable[Sequence[int]]:
    return (seqs[start : start + _MOST] for start in range(0, len(seqs), _MOST))


def _labels(session: Session, table: Any, seqs: Sequence[int]) -> dict[int, dict[str, tuple[str, bool]]]:
    found: dict[int, dict[str, tuple[str, bool]]] = {seq: {} for seq in seqs}
    columns = (table.c.run_seq, table.c.key, table.c.value, table.c.typed)
    for part in _parts(seqs):
        for seq, key, text, typed in session.execute(select(*columns).where(table.c.run_seq.in_(part))):
            found[seq][key] = (text, typed)
    return found


def _metrics(session: Session, seqs: Sequence[int]) -> dict[int, list[Measurement]]:
    found: dict[int, list[Measurement]] = {seq: [] for seq in seqs}
    columns = [_LATEST.c[name] for name in ("run_seq", "key", "value", "step", "logged_at", "is_nan")]
    for part in _parts(seqs):
        query = select(*columns).where(_LATEST.c.run_seq.in_(part))
        for seq, key, value, step, at, is_nan in session.execute(query):
            found[seq].append(Measurement(key, math.nan if is_nan else float(value), step, at))
    return found


def _datasets(session: Session, seqs: Sequence[int]) -> dict[int, list[Dataset]]:
    found: dict[int, list[Dataset]] = {seq: [] for seq in seqs}
    joined = _INPUT.join(_DATASET, _INPUT.c.dataset_id == _DATASET.c.id)
    query = select(_INPUT.c.run_seq, _INPUT.c.context, _INPUT.c.tags, _DATASET).select_from(joined)
    for part in _parts(seqs):
        for row in session.execute(query.where(_INPUT.c.run_seq.in_(part)).order_by(_DATASET.c.id)):
            described = (row.name, row.digest, row.source_type, row.source, row[-2], row.profile)
            found[row.run_seq].append(Dataset(*described, context=row.context, tags=row.tags))
    return found


def _models(session: Session, seqs: Sequence[int]) -> dict[int, list[ModelLink]]:
    found: dict[int, list[ModelLink]] = {seq: [] for seq in seqs}
    query = select(_MODEL.c.run_seq, _MODEL.c.role, _MODEL.c.model_id, _MODEL.c.step)
    for part in _parts(seqs):
        for seq, *link in session.execute(query.where(_MODEL.c.run_seq.in_(part))):
            found[seq].append(ModelLink(*link))
    return found
