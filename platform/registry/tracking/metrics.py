"""Metrics, parameters and tags of runs, logged and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlmodel import Session

from ...core import DataError, NotFound, Workspace
from ..columns import numbers
from ..engine import reading, transaction, writing
from ..rows import LARGEST
from ..schema import MAPPERS
from .bulk import read_in
from .clock import microseconds
from .entries import NAME_TAG, PARENT_TAG, Entry, Point, cleaned, deleted_run, raise_first, unknown_run, write
from .labels import packed
from .values import Measurement

_TABLES = MAPPERS.metadata.tables
_RUN, _METRIC, _TAG = _TABLES["run"], _TABLES["metric"], _TABLES["tag"]


def log_metrics(ws: Workspace, run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
    """Record metric values of a running run; when it returns, they are committed.

    The run's value of a metric is the one at the highest step; of several at one step the newest.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run has ended, or is deleted.
        DataError: A value is not a number.

    Example:
        >>> import tempfile
        >>> from raylake.registry import run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> log_metrics(ws, fit.id, {"auc": 0.7}, step=1)
        >>> metric_history(ws, fit.id, "auc"), run(ws, fit.id).metrics
        ([(1, 0.7)], {'auc': 0.7})
    """
    log(ws, [Entry(run_id, points=points_of(metrics, step), while_running=True)])


def log_params(ws: Workspace, run_id: str, params: Mapping[str, Any]) -> None:
    """Record parameters of a running run; what is recorded never changes, the same value again is fine.

    Raises:
        NotFound: The run is unknown.
        Conflict: The run has ended, or is deleted.
        DataError: A value has no JSON form, or a parameter is recorded with another value.

    Example:
        >>> import tempfile
        >>> from raylake.registry import run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first", params={"depth": 6})
        >>> log_params(ws, fit.id, {"rate": 0.1, "depth": 6})
        >>> run(ws, fit.id).params
        {'depth': 6, 'rate': 0.1}
    """
    log(ws, [Entry(run_id, params=packed(params, "params"), while_running=True)])


def set_tags(ws: Workspace, run_id: str, tags: Mapping[str, Any]) -> None:
    """Set labels of a run, at any time.

    Raises:
        NotFound: The run is unknown.
        Deleted: The run is deleted.
        DataError: A value has no JSON form.

    Example:
        >>> import tempfile
        >>> from raylake.registry import run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first", tags={"by": "me"})
        >>> set_tags(ws, fit.id, {"by": "you"})
        >>> run(ws, fit.id).tags
        {'by': 'you'}
    """
    log(ws, [Entry(run_id, tags=packed(tags, "tags"))])


def delete_tag(ws: Workspace, run_id: str, key: str) -> None:
    """Remove a label of a run. Removing `mlflow.runName` does nothing: a run has a name.

    Raises:
        NotFound: The run or the label is unknown.
        Deleted: The run is deleted.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> delete_tag(ws, start_run(ws, "fit", "first", tags={"by": "me"}).id, "by")
    """
    with writing(ws) as session:
        seq, lifecycle = _identity(session, run_id)
        if lifecycle != "active":
            raise deleted_run(run_id)
        if key == NAME_TAG:
            return
        if key == PARENT_TAG:
            session.execute(_RUN.update().where(_RUN.c.seq == seq).values(parent=None))
            return
        gone = _TAG.delete().where(_TAG.c.run_seq == seq, _TAG.c.key == key).returning(_TAG.c.key)
        if session.execute(gone).first() is None:
            raise NotFound(f"No tag with name: {key} in run with id {run_id}")


def append_to_tag(ws: Workspace, run_id: str, key: str, item: Any) -> None:
    """Append to a label that holds a JSON list, in one transaction: of callers at once none loses an entry.

    Raises:
        NotFound: The run is unknown.
        Deleted: The run is deleted.
        DataError: The label holds something else.

    Example:
        >>> import tempfile
        >>> from raylake.registry import run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> for name in ("a", "b"):
        ...     append_to_tag(ws, fit.id, "models", {"name": name})
        >>> run(ws, fit.id).tags
        {'models': '[{"name": "a"}, {"name": "b"}]'}
    """
    with transaction(ws.registry_url) as connection:
        locked = read_in(connection, "run", "seq", "id", [run_id], lock=True)
        seqs = [row[0] for row in locked]
        query = select(_TAG.c.value).where(_TAG.c.run_seq.in_(seqs), _TAG.c.key == key)
        known = connection.execute(query).scalar()
        value = json.dumps([*_list(run_id, key, known), item])
        raise_first(write(connection, [Entry(run_id, tags=[(cleaned(key), cleaned(value), False)])]))


def metric_history(ws: Workspace, run_id: str, key: str) -> list[tuple[int, float]]:
    """The value of one metric at each step as ``(step, value)``, in the order of steps: the newest of a step.

    `measurements` returns all of them, with their times.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> for step, loss in enumerate([0.9, 0.5], start=1):
        ...     log_metrics(ws, fit.id, {"loss": loss}, step=step)
        >>> metric_history(ws, fit.id, "loss")
        [(1, 0.9), (2, 0.5)]
    """
    with reading(ws) as session:
        seq, _ = _identity(session, run_id)
        query = _points(seq, key).order_by(_METRIC.c.step, _METRIC.c.logged_at, _METRIC.c.value)
        return [*{step: _value(value, is_nan) for step, _, value, is_nan in session.execute(query)}.items()]


def measurements(
    ws: Workspace, run_id: str, key: str, *, limit: int | None = None, offset: int = 0
) -> list[Measurement]:
    """Every logged value of one metric, in the order of time, step and value; empty when there are none.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> for value in (0.6, 0.7):
        ...     log_metrics(ws, fit.id, {"auc": value})
        >>> [(point.step, point.value) for point in measurements(ws, fit.id, "auc")]
        [(0, 0.6), (0, 0.7)]
    """
    seq = select(_RUN.c.seq).where(_RUN.c.id == run_id).scalar_subquery()
    query = _points(seq, key).order_by(_METRIC.c.logged_at, _METRIC.c.step, _METRIC.c.value)
    with reading(ws) as session:
        return [_measurement(key, row) for row in session.execute(query.limit(limit).offset(offset or None))]


def sampled(ws: Workspace, run_id: str, key: str, most: int, steps: tuple[int, int] | None = None) -> list[Measurement]:
    """At most `most` values of one metric, evenly spread over all in the order of steps; the last always.

    Args:
        ws: The workspace.
        run_id: The run.
        key: The metric.
        most: 1 or more.
        steps: First and last step to look at.
    """
    seq = select(_RUN.c.seq).where(_RUN.c.id == run_id).scalar_subquery()
    order = [_METRIC.c.step, _METRIC.c.logged_at, _METRIC.c.value, _METRIC.c.is_nan]
    query = _points(seq, key)
    if steps is not None:
        query = query.where(_METRIC.c.step.between(*steps))
    bucketed = query.add_columns(
        func.ntile(most).over(order_by=order).label("bucket"), func.row_number().over(order_by=order).label("place")
    ).subquery()
    first = select(func.min(bucketed.c.place)).group_by(bucketed.c.bucket)
    last = select(func.max(bucketed.c.place))
    chosen = select(bucketed).where(bucketed.c.place.in_(first) | bucketed.c.place.in_(last))
    with reading(ws) as session:
        found = [_measurement(key, row[:4]) for row in session.execute(chosen.order_by(bucketed.c.place))]
    return found if len(found) <= most else [*found[: most - 1], found[-1]]


def points_of(metrics: Mapping[str, float], step: int, at: datetime | None = None) -> list[Point]:
    """Measurements of one moment.

    Raises:
        DataError: A value is not a number, or the step does not fit 64 bits.
    """
    if not -LARGEST <= step <= LARGEST:
        raise DataError(f"step {step} does not fit 64 bits: count steps from 0")
    moment = microseconds() if at is None else round(at.timestamp() * 1_000_000)
    return [(cleaned(key), step, moment, value) for key, value in numbers(metrics).items()]


def log(ws: Workspace, entries: Sequence[Entry]) -> None:
    """Record entries in one transaction: all, or none and the first refusal is raised."""
    with transaction(ws.registry_url) as connection:
        raise_first(write(connection, entries))


def _identity(session: Session, run_id: str) -> tuple[int, str]:
    row = session.execute(select(_RUN.c.seq, _RUN.c.lifecycle).where(_RUN.c.id == run_id)).first()
    if row is None:
        raise unknown_run(run_id)
    return row[0], row[1]


def _list(run_id: str, key: str, text: str | None) -> list[Any]:
    try:
        found = [] if text is None else json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise DataError(f"tag {key!r} of run {run_id} is no JSON list but {text!r:.100}: delete the tag first")
    return found


def _points(seq: Any, key: str) -> Select[Any]:
    columns = [_METRIC.c[name] for name in ("step", "logged_at", "value", "is_nan")]
    return select(*columns).where(_METRIC.c.run_seq == seq, _METRIC.c.key == key)


def _measurement(key: str, row: Iterable[Any]) -> Measurement:
    step, at, value, is_nan = row
    return Measurement(key, _value(value, is_nan), step, at)


def _value(value: float, is_nan: bool) -> float:
    return math.nan if is_nan else float(value)
