"""Purge: deleted runs and experiments are removed for good, with everything that was logged to them.

Artifacts are not touched: nothing refers to them any more, and the artifacts' collector finds that out.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlmodel import Session

from ...core import Conflict, Workspace
from ..engine import now, writing
from ..rows import listed
from ..schema import MAPPERS
from ..schema.tracking import ACTIVE, DELETED
from .entries import unknown_run
from .experiments import DEFAULT_EXPERIMENT

_TABLES = MAPPERS.metadata.tables
_RUN, _EXPERIMENT = _TABLES["run"], _TABLES["experiment"]
_VERSION, _NODE, _EDGE = _TABLES["model_version"], _TABLES["lineage_node"], _TABLES["lineage_edge"]
_CHUNK = 500


def purge_run(ws: Workspace, run_id: str) -> None:
    """Remove a deleted run for good: its row, parameters, tags, measurements, inputs and its place in the lineage.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run is not deleted, or a registered model was made by it.

    Example:
        >>> import tempfile
        >>> from raylake.registry import delete_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> delete_run(ws, fit.id)
        >>> purge_run(ws, fit.id)
    """
    with writing(ws) as session:
        lifecycle = session.execute(select(_RUN.c.lifecycle).where(_RUN.c.id == run_id)).scalar()
        if lifecycle is None:
            raise unknown_run(run_id)
        if lifecycle == ACTIVE:
            raise Conflict(f"run {run_id} is not deleted: only a deleted run can be purged, delete it first")
        query = select(_VERSION.c.model, _VERSION.c.version).where(_VERSION.c.run_id == run_id)
        made = [f"{model}@{version}" for model, version in session.execute(query)]
        if made:
            raise Conflict(f"run {run_id} made the registered model {listed(made)}: it is kept as long as that is")
        _remove(session, [run_id])


def purge_deleted(ws: Workspace, *, older_than: timedelta = timedelta(0)) -> list[str]:
    """Remove every run deleted at least `older_than` ago, then the deleted experiments that have no runs left.

    Runs that made a registered model are kept, and their experiments with them; so is the experiment ``Default``.

    Returns:
        Ids of the runs that were removed.

    Example:
        >>> import tempfile
        >>> from raylake.registry import delete_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> delete_run(ws, fit.id)
        >>> purge_deleted(ws) == [fit.id]
        True
    """
    before = now() - older_than
    with writing(ws) as session:
        needed = select(_VERSION.c.run_id).where(_VERSION.c.run_id == _RUN.c.id).exists()
        gone = select(_RUN.c.id).where(_RUN.c.lifecycle == DELETED, _RUN.c.deleted_at <= before, ~needed)
        ids = [*session.execute(gone.order_by(_RUN.c.seq)).scalars()]
        for start in range(0, len(ids), _CHUNK):
            _remove(session, ids[start : start + _CHUNK])
        left = select(_RUN.c.seq).where(_RUN.c.experiment_id == _EXPERIMENT.c.id).exists()
        empty = [_EXPERIMENT.c.lifecycle == DELETED, _EXPERIMENT.c.updated_at <= before, ~left]
        session.execute(delete(_EXPERIMENT).where(*empty, _EXPERIMENT.c.id != DEFAULT_EXPERIMENT))
        return ids


def _remove(session: Session, ids: list[str]) -> None:
    nodes = select(_NODE.c.id).where(_NODE.c.kind == "run", _NODE.c.name.in_(ids))
    session.execute(delete(_EDGE).where(_EDGE.c.source.in_(nodes) | _EDGE.c.target.in_(nodes)))
    session.execute(delete(_NODE).where(_NODE.c.kind == "run", _NODE.c.name.in_(ids)))
    session.execute(delete(_RUN).where(_RUN.c.id.in_(ids)))  # whatever refers to a run's number goes with it
