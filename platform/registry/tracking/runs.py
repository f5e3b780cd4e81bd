"""Runs: started, ended, found, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from ...core import Conflict, DataError, Node, Workspace
from ..columns import clean, numbers
from ..engine import now, reading, transaction, writing
from ..lineage import connect
from ..records import Run
from ..rows import texts
from ..schema import MAPPERS, LatestMetricRow, RunRow
from ..schema.tracking import ACTIVE, DELETED
from .bulk import PARAMS, TAGS, insert
from .clock import microseconds
from .entries import Entry, Point, deleted_run, ended_run, raise_first, unknown_run, write
from .experiments import DEFAULT_EXPERIMENT, active
from .labels import Label, packed
from .values import RunView
from .views import artifact_uri, head, record, select_runs, views

_TABLES = MAPPERS.metadata.tables
_RUN, _EXPERIMENT = _TABLES["run"], _TABLES["experiment"]
# Made once: SQLAlchemy then finds their SQL by their identity.
_INSERT = _RUN.insert().returning(_RUN.c.seq)
_HOME = select(_EXPERIMENT.c.id, _EXPERIMENT.c.artifact_location).where(
    _EXPERIMENT.c.id == bindparam("which"), _EXPERIMENT.c.lifecycle == ACTIVE
)
_ONE = select_runs().where(_RUN.c.id == bindparam("run_id"))
STATUSES = ("scheduled", "running", "finished", "failed", "stopped")
_ENDED = ("finished", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a run starts with. `experiment` ``None``: its parent's, or the default one."""

    kind: str
    name: str
    params: tuple[Label, ...] = ()
    tags: tuple[Label, ...] = ()
    inputs: tuple[Node, ...] = ()
    parent: str | None = None
    experiment: str | int | None = None
    created_at: datetime | None = None
    user_id: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)


def start_run(
    ws: Workspace,
    kind: str,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    inputs: Iterable[Node] = (),
    parent: str | None = None,
    experiment: str | int | None = None,
) -> Run:
    """Record that something starts; its status is ``running`` until `finish_run`.

    Args:
        ws: The workspace.
        kind: ``fit``, ``trial``, ``study``, ...
        name: Free name.
        params: What it is started with; numpy scalars, dates and paths are converted to plain JSON types.
        tags: Free labels.
        inputs: What it reads; lineage from each to the run is recorded.
        parent: Id of the run it belongs to.
        experiment: Name or id of the experiment it belongs to; by default its parent's, else ``Default``.

    Raises:
        NotFound: `parent` or `experiment` is unknown.
        Deleted: The experiment is deleted.
        DataError: A parameter has no JSON form.
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> start_run(ws, "fit", "first", params={"depth": 6}).status
        'running'
    """
    new = NewRun(
        kind,
        name,
        params=tuple(packed(params or {}, "params")),
        tags=tuple(packed(tags or {}, "tags")),
        inputs=tuple(inputs),
        parent=parent,
        experiment=experiment,
    )
    with writing(ws) as session:
        if parent is not None:
            _row(session, parent)
        return record(_create(session, new))


def new_run(ws: Workspace, new: NewRun) -> RunView:
    """Record that a run starts, as a tracking client asks for it; its parent need not exist.

    Raises:
        NotFound: The experiment is unknown.
        Deleted: The experiment is deleted.
    """
    with writing(ws) as session:
        return _create(session, new)


def _create(session: Session, new: NewRun) -> RunView:
    which = new.experiment
    if which is None:
        above = session.exec(select(RunRow.experiment_id).where(RunRow.id == new.parent)).first()
        which = DEFAULT_EXPERIMENT if above is None else above
    home: Any = session.connection().execute(_HOME, {"which": which}).first() if isinstance(which, int) else None
    home = home or active(session, which)  # by name; and its errors
    begun: dict[str, Any] = {
        "id": new.id,
        "kind": clean(new.kind),
        "name": clean(new.name),
        "status": "running",
        "parent": new.parent,
        "error": "",
        "created_at": new.created_at or now(),
        "user_id": clean(new.user_id),
        "artifact": None,
        "ended_at": None,
        "lifecycle": ACTIVE,
    }
    kept = {"experiment_id": home.id, "inputs": texts(new.inputs), "outputs": []}
    seq = session.execute(_INSERT, {**begun, **kept}).scalar_one()
    connection = session.connection()
    insert(connection, PARAMS, [(seq, *label) for label in new.params])
    insert(connection, TAGS, [(seq, *label) for label in new.tags])
    connect(session, new.inputs, [Node("run", new.id)])
    return RunView(
        **begun,
        experiment_id=home.id or DEFAULT_EXPERIMENT,
        artifact_uri=artifact_uri(home.id or DEFAULT_EXPERIMENT, home.artifact_location, new.id),
        params={key: (text, typed) for key, text, typed in new.params},
        tags={key: (text, typed) for key, text, typed in new.tags},
        metrics=(),
        datasets=(),
        models=(),
        inputs=tuple(dict.fromkeys(new.inputs)),
        outputs=(),
    )


def finish_run(
    ws: Workspace,
    run_id: str,
    *,
    status: Literal["finished", "failed", "stopped"] = "finished",
    metrics: Mapping[str, float] | None = None,
    outputs: Iterable[Node] = (),
    artifact: str | None = None,
    error: str = "",
) -> Run:
    """End a running run, once. Lineage from the run to each output is recorded in the same transaction.

    Args:
        ws: The workspace.
        run_id: The run.
        status: ``finished``, ``failed`` or ``stopped``.
        metrics: Final figures; they join (and win over) those logged before: each is a measurement at the
            newest step of its metric, unless that has this value already.
        outputs: What it wrote.
        artifact: Digest of the folder it produced.
        error: Why it failed.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run has ended already.
        DataError: The status is unknown, or a metric is not a number.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> finish_run(ws, fit.id, metrics={"auc": 0.7}).status
        'finished'
    """
    if status not in _ENDED:
        raise DataError(f"status {status!r} of a run is not valid: use one of {', '.join(_ENDED)}")
    writes, final = [*outputs], numbers(metrics or {})
    with writing(ws) as session:
        row = _running(session, run_id)
        points = _final_points(session, row, final)
        raise_first(write(session.connection(), [Entry(run_id, points=points, while_running=True)]))
        row.status, row.error, row.ended_at = status, error, now()
        row.artifact = artifact
        row.outputs = texts(writes)
        connect(session, [Node("run", row.id)], writes)
        session.flush()
        return record(_view(session, run_id))


def update_run(
    ws: Workspace, run_id: str, *, status: str | None = None, ended_at: datetime | None = None, name: str | None = None
) -> RunView:
    """Change what a tracking client may change of a run, at any time.

    Returns:
        The run without its parameters, tags, metrics, data sets and models, which are not read.

    Raises:
        NotFound: The run is unknown.
        Deleted: The run is deleted.
        DataError: The status is unknown.
    """
    if status is not None and status not in STATUSES:
        raise DataError(f"status {status!r} of a run is not valid: use one of {', '.join(STATUSES)}")
    given = {"status": status, "ended_at": ended_at, "name": name and clean(name)}
    changed = {column: value for column, value in given.items() if value}
    with transaction(ws.registry_url) as connection:
        if changed:
            connection.execute(_RUN.update().where(_RUN.c.id == run_id, _RUN.c.lifecycle == ACTIVE), changed)
        row = connection.execute(_ONE, {"run_id": run_id}).first()
        if row is None:
            raise unknown_run(run_id)
        if row.lifecycle != ACTIVE:
            raise deleted_run(run_id)
        return head(row)


def reopen_run(ws: Workspace, run_id: str) -> Run:
    """Take up a run that was stopped or failed: ``running`` again. NotFound if unknown, Conflict in another state.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> study = finish_run(ws, start_run(ws, "study", "first").id, status="stopped", error="Ctrl-C")
        >>> reopen_run(ws, study.id).status
        'running'
    """
    with writing(ws) as session:
        row = _row(session, run_id, lock=True)
        if row.status not in ("stopped", "failed"):
            raise Conflict(f"run {run_id} is {row.status}: only a run that was stopped or failed can be taken up again")
        row.status, row.error, row.ended_at = "running", "", None
        session.flush()
        return record(_view(session, run_id))


def run(ws: Workspace, run_id: str) -> Run:
    """One run by its id; deleted ones too, until they are purged.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> run(Workspace.open(tempfile.mkdtemp()), "abc")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: run 'abc' is not recorded: registry.runs(ws) lists the newest runs
    """
    return record(run_view(ws, run_id))


def run_view(ws: Workspace, run_id: str) -> RunView:
    """One run as tracking clients see it.

    Raises:
        NotFound: The run is unknown.
    """
    with reading(ws) as session:
        return _view(session, run_id)


def runs(
    ws: Workspace,
    *,
    kind: str | None = None,
    name: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    experiment: int | None = None,
    limit: int | None = 100,
) -> list[Run]:
    """Runs that have all the given properties and are not deleted, newest first; `limit` ``None`` returns all.

    Example:
        >>> import tempfile
        >>> runs(Workspace.open(tempfile.mkdtemp()), kind="fit")
        []
    """
    query = select_runs().where(col(RunRow.lifecycle) == ACTIVE).order_by(col(RunRow.seq).desc()).limit(limit)
    for column, wanted in (
        (RunRow.kind, kind),
        (RunRow.name, name),
        (RunRow.status, status),
        (RunRow.parent, parent),
        (RunRow.experiment_id, experiment),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    with reading(ws) as session:
        return [record(view) for view in views(session, query)]


def trials(ws: Workspace, study_run_id: str) -> list[Run]:
    """The trials of a study (runs of kind ``trial`` whose parent it is), oldest first.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> study = start_run(ws, "study", "search")
        >>> trial = start_run(ws, "trial", "t1", parent=study.id)
        >>> [found.name for found in trials(ws, study.id)]
        ['t1']
    """
    return runs(ws, kind="trial", parent=study_run_id, limit=None)[::-1]


def delete_run(ws: Workspace, run_id: str) -> None:
    """Delete a run; `restore_run` brings it back until it is purged. A deleted run stays deleted.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> delete_run(ws, start_run(ws, "fit", "first").id)
        >>> runs(ws)
        []
    """
    _turn(ws, run_id, DELETED)


def restore_run(ws: Workspace, run_id: str) -> None:
    """Bring a deleted run back.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> delete_run(ws, fit.id)
        >>> restore_run(ws, fit.id)
        >>> run(ws, fit.id) == fit
        True
    """
    _turn(ws, run_id, ACTIVE)


def _turn(ws: Workspace, run_id: str, lifecycle: str) -> None:
    with writing(ws) as session:
        row = _row(session, run_id, lock=True)
        row.lifecycle = lifecycle
        row.deleted_at = now() if lifecycle == DELETED else None


def _view(session: Session, run_id: str) -> RunView:
    found = views(session, _ONE, {"run_id": run_id})
    if not found:
        raise unknown_run(run_id)
    return found[0]


def _row(session: Session, run_id: str, *, lock: bool = False) -> RunRow:
    query = select(RunRow).where(RunRow.id == run_id)
    row = session.exec(query.with_for_update(key_share=True) if lock else query).first()
    if row is None:
        raise unknown_run(run_id)
    return row


def _running(session: Session, run_id: str) -> RunRow:
    row = _row(session, run_id, lock=True)
    if row.status != "running":
        raise ended_run(run_id, row.name, row.status)
    return row


def _final_points(session: Session, row: RunRow, final: Mapping[str, float]) -> list[Point]:
    query = select(LatestMetricRow).where(LatestMetricRow.run_seq == row.seq)
    known = {metric.key: metric for metric in session.exec(query)}
    at = microseconds()
    points = []
    for key, value in final.items():
        last = known.get(key)
        if last is None:
            points.append((key, 0, at, value))
        elif last.is_nan != (value != value) or (not last.is_nan and last.value != value):
            points.append((key, last.step, max(at, last.logged_at + 1), value))
    return points
