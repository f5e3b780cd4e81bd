"""Sources configured at run time: their definitions, whether they run, and how the last run went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, col, select

from ..core import ConfigError, NotFound, Workspace, check_name
from .columns import plain
from .engine import now, reading, writing
from .records import SourceRecord
from .rows import listed
from .schema import SourceRow

STATUSES = ("active", "paused")


def save_source(ws: Workspace, name: str, definition: Mapping[str, Any]) -> SourceRecord:
    """Add a source, or change it: its revision then grows by one. A change keeps the status.

    Args:
        ws: The workspace.
        name: Name of the source.
        definition: JSON-able; its form is up to the caller. Secrets do not belong here.

    Raises:
        InvalidName: The name breaks the rule.
        DataError: The definition has no JSON form.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> save_source(ws, "trips", {"every": "5m"}).revision, save_source(ws, "trips", {"every": "1h"}).revision
        (1, 2)
    """
    body = plain(definition, "definition")
    with writing(ws) as session:
        row = session.get(SourceRow, check_name(name, "source name"))
        moment = now()
        if row is None:
            row = SourceRow(
                name=name, definition=body, status="active", revision=1, error="", created_at=moment, changed_at=moment
            )
        elif row.definition != body:
            row.definition, row.revision, row.changed_at, row.error = body, row.revision + 1, moment, ""
        session.add(row)
        session.flush()
        return _record(row)


def set_source_status(ws: Workspace, name: str, status: str) -> SourceRecord:
    """Let a source run (``active``) or not (``paused``).

    Raises:
        ConfigError: The status is neither.
        NotFound: The source is unknown; the message lists those that exist.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_source(ws, "trips", {})
        >>> set_source_status(ws, "trips", "paused").status
        'paused'
    """
    if status not in STATUSES:
        raise ConfigError(f"status {status!r} is not valid: use one of {', '.join(STATUSES)}")
    with writing(ws) as session:
        row = _found(session, name)
        row.status, row.changed_at = status, now()
        session.add(row)
        session.flush()
        return _record(row)


def record_source_run(ws: Workspace, name: str, *, error: str = "") -> None:
    """Note that a source ran; a source that was removed meanwhile stays removed.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_source(ws, "trips", {})
        >>> record_source_run(ws, "trips", error="no such file")
        >>> source_record(ws, "trips").error
        'no such file'
    """
    with writing(ws) as session:
        row = session.get(SourceRow, name)
        if row is not None:
            row.error, row.last_run_at = error, now()
            session.add(row)


def delete_source(ws: Workspace, name: str) -> None:
    """Forget a source's definition; its tables stay.

    Raises:
        NotFound: The source is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = save_source(ws, "trips", {})
        >>> delete_source(ws, "trips")
        >>> source_records(ws)
        []
    """
    with writing(ws) as session:
        session.delete(_found(session, name))


def source_record(ws: Workspace, name: str) -> SourceRecord:
    """One source.

    Raises:
        NotFound: The source is unknown; the message lists those that exist.

    Example:
        >>> import tempfile
        >>> source_record(Workspace.open(tempfile.mkdtemp()), "trips")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: source 'trips' is not configured; sources: none
    """
    with reading(ws) as session:
        return _record(_found(session, name))


def source_records(ws: Workspace, *, status: str | None = None) -> list[SourceRecord]:
    """All sources, or those with a status, by name.

    Example:
        >>> import tempfile
        >>> source_records(Workspace.open(tempfile.mkdtemp()), status="active")
        []
    """
    query = select(SourceRow).order_by(col(SourceRow.name))
    if status is not None:
        query = query.where(SourceRow.status == status)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def _found(session: Session, name: str) -> SourceRow:
    row = session.get(SourceRow, name)
    if row is None:
        names = session.exec(select(SourceRow.name)).all()
        raise NotFound(f"source {name!r} is not configured; sources: {listed(names)}")
    return row


def _record(row: SourceRow) -> SourceRecord:
    return SourceRecord(
        name=row.name,
        definition=row.definition,
        status=row.status,
        revision=row.revision,
        error=row.error,
        last_run_at=row.last_run_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
