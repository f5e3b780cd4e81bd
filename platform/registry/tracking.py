"""Runs, trials and their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from uuid import uuid4

from sqlmodel import Session, col, select

from ..core import Conflict, DataError, Node, NotFound, Workspace
from .columns import numbers, plain
from .engine import now, reading, writing
from .lineage import connect
from .records import Run
from .rows import parsed, texts, upsert
from .schema import MetricRow, RunRow

_ENDED = ("finished", "failed", "stopped")


def start_run(
    ws: Workspace,
    kind: str,
    name: str,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    inputs: Iterable[Node] = (),
    parent: str | None = None,
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

    Raises:
        NotFound: `parent` is unknown.
        DataError: A parameter has no JSON form.
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> start_run(ws, "fit", "first", params={"depth": 6}).status
        'running'
    """
    reads = [*inputs]
    row = RunRow(
        id=uuid4().hex,
        kind=kind,
        name=name,
        status="running",
        params=plain(params or {}, "params"),
        metrics={},
        tags=plain(tags or {}, "tags"),
        inputs=texts(reads),
        outputs=[],
        parent=parent,
        created_at=now(),
    )
    with writing(ws) as session:
        if parent is not None:
            _row(session, parent)
        session.add(row)
        connect(session, reads, [Node("run", row.id)])
        session.flush()
        return _record(row)


def log_metrics(ws: Workspace, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Record metric values of a running run; a value logged again at the same step replaces the earlier one.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run has ended.
        DataError: A value is not a number.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> log_metrics(ws, fit.id, {"auc": 0.7}, step=1)
        >>> metric_history(ws, fit.id, "auc"), run(ws, fit.id).metrics
        ([(1, 0.7)], {'auc': 0.7})
    """
    values = numbers(metrics)
    with writing(ws) as session:
        row = _running(session, run_id)
        row.metrics = {**row.metrics, **values}
        at = now()
        upsert(
            session,
            MetricRow,
            [{"run_seq": row.seq, "key": k, "step": step, "value": v, "created_at": at} for k, v in values.items()],
            key=["run_seq", "key", "step"],
            changed=["value", "created_at"],
        )


def metric_history(ws: Workspace, run_id: str, key: str) -> list[tuple[int, float]]:
    """The logged values of one metric as ``(step, value)``, in the order of steps; empty when there are none.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> for step, loss in enumerate([0.9, 0.5], start=1):
        ...     log_metrics(ws, fit.id, {"loss": loss}, step=step)
        >>> metric_history(ws, fit.id, "loss")
        [(1, 0.9), (2, 0.5)]
    """
    with reading(ws) as session:
        row = _row(session, run_id)
        query = (
            select(MetricRow).where(MetricRow.run_seq == row.seq, MetricRow.key == key).order_by(col(MetricRow.step))
        )
        return [(metric.step, float("nan") if metric.value is None else metric.value) for metric in session.exec(query)]


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
        metrics: Final figures; they join (and win over) those logged before.
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
    writes = [*outputs]
    with writing(ws) as session:
        row = _running(session, run_id)
        row.status, row.error, row.ended_at = status, error, now()
        row.artifact = artifact
        row.metrics = {**row.metrics, **numbers(metrics or {})}
        row.outputs = texts(writes)
        connect(session, [Node("run", row.id)], writes)
        session.flush()
        return _record(row)


def run(ws: Workspace, run_id: str) -> Run:
    """One run by its id.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> run(Workspace.open(tempfile.mkdtemp()), "abc")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: run 'abc' is not recorded: registry.runs(ws) lists the newest runs
    """
    with reading(ws) as session:
        return _record(_row(session, run_id))


def runs(
    ws: Workspace,
    *,
    kind: str | None = None,
    name: str | None = None,
    status: str | None = None,
    parent: str | None = None,
    limit: int | None = 100,
) -> list[Run]:
    """Runs that have all the given properties, newest first; `limit` ``None`` returns all.

    Example:
        >>> import tempfile
        >>> runs(Workspace.open(tempfile.mkdtemp()), kind="fit")
        []
    """
    query = select(RunRow).order_by(col(RunRow.seq).desc()).limit(limit)
    for column, wanted in (
        (RunRow.kind, kind),
        (RunRow.name, name),
        (RunRow.status, status),
        (RunRow.parent, parent),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


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


def _row(session: Session, run_id: str, *, lock: bool = False) -> RunRow:
    query = select(RunRow).where(RunRow.id == run_id)
    row = session.exec(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound(f"run {run_id!r} is not recorded: registry.runs(ws) lists the newest runs")
    return row


def _running(session: Session, run_id: str) -> RunRow:
    row = _row(session, run_id, lock=True)
    if row.status != "running":
        raise Conflict(f"run {run_id} ({row.name!r}) has ended with status {row.status!r}: start a new run")
    return row


def _record(row: RunRow) -> Run:
    return Run(
        id=row.id,
        kind=row.kind,
        name=row.name,
        status=row.status,
        params=row.params,
        metrics=row.metrics,
        tags=row.tags,
        inputs=parsed(row.inputs),
        parent=row.parent,
        artifact=row.artifact,
        error=row.error,
        created_at=row.created_at,
        ended_at=row.ended_at,
        outputs=parsed(row.outputs),
    )
