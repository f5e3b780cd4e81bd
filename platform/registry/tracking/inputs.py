"""What runs read and wrote, as MLflow's client describes it: data sets, logged models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from ...core import Workspace
from ..engine import reading, writing
from ..rows import insert_new
from ..schema import MAPPERS, DatasetInputRow, DatasetRow, RunModelRow
from ..schema.tracking import ACTIVE
from .entries import deleted_run, unknown_run
from .values import Dataset, ModelLink

_TABLES = MAPPERS.metadata.tables
_RUN, _DATASET = _TABLES["run"], _TABLES["dataset"]
_INPUT = _TABLES["dataset_input"]
MOST_SUMMARIES = 1000


def log_inputs(ws: Workspace, run_id: str, datasets: Iterable[Dataset] = (), models: Iterable[ModelLink] = ()) -> None:
    """Record data sets that a run read, and logged models that it read or wrote.

    A data set is known in an experiment by its name and digest; what is recorded stays as it was first described.

    Raises:
        NotFound: The run is unknown.
        Deleted: The run is deleted.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> log_inputs(ws, start_run(ws, "fit", "first").id, [Dataset("flights", "1f2e", context="train")])
    """
    with writing(ws) as session:
        seq, experiment_id = _active(session, run_id)
        for dataset in datasets:
            row = {
                "run_seq": seq,
                "dataset_id": _identify(session, experiment_id, dataset),
                "tags": dict(dataset.tags),
                "context": dataset.context,
            }
            insert_new(session, DatasetInputRow, [row])
        links = [{"run_seq": seq, "role": link.role, "model_id": link.model_id, "step": link.step} for link in models]
        insert_new(session, RunModelRow, links)


def dataset_summaries(ws: Workspace, experiment_ids: Sequence[int]) -> list[tuple[int, str, str, str | None]]:
    """Experiment, name, digest and context of the data sets that runs of experiments read, each once; 1000 at most."""
    columns = (_DATASET.c.experiment_id, _DATASET.c.name, _DATASET.c.digest, _INPUT.c.context)
    joined = _INPUT.join(_DATASET, _INPUT.c.dataset_id == _DATASET.c.id)
    query = select(*columns).select_from(joined).where(_DATASET.c.experiment_id.in_(experiment_ids)).distinct()
    with reading(ws) as session:
        return [tuple(row) for row in session.execute(query.limit(MOST_SUMMARIES))]


def _active(session: Session, run_id: str) -> tuple[int, int]:
    query = select(_RUN.c.seq, _RUN.c.experiment_id, _RUN.c.lifecycle).where(_RUN.c.id == run_id)
    row = session.execute(query).first()
    if row is None:
        raise unknown_run(run_id)
    if row[2] != ACTIVE:
        raise deleted_run(run_id)
    return row[0], row[1]


def _identify(session: Session, experiment_id: int, dataset: Dataset) -> Any:
    known = {"experiment_id": experiment_id, "name": dataset.name, "digest": dataset.digest}
    described = {
        "source_type": dataset.source_type,
        "source": dataset.source,
        "columns": dataset.schema,
        "profile": dataset.profile,
    }
    insert_new(session, DatasetRow, [{**known, **described}])
    same = [_DATASET.c[name] == value for name, value in known.items()]
    return session.execute(select(_DATASET.c.id).where(*same)).scalar_one()
