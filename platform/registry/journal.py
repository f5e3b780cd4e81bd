"""Alerts and events: what happened, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlmodel import col, select

from ..core import DataError, Node, Workspace
from .columns import plain
from .engine import now, reading, writing
from .records import Alert, Event
from .schema import AlertRow, EventRow

SEVERITIES = ("info", "warning", "error", "critical")
_EVENT_LOCK = 0x6576656E7473  # "events"


def record_alert(
    ws: Workspace, *, severity: str, subject: Node, message: str, evidence: Mapping[str, Any] | None = None
) -> Alert:
    """Record a notification.

    Args:
        ws: The workspace.
        severity: ``info``, ``warning``, ``error`` or ``critical``.
        subject: What it is about.
        message: One sentence.
        evidence: The figures behind it.

    Raises:
        DataError: The severity is unknown, or the evidence has no JSON form.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> record_alert(ws, severity="warning", subject=Node("endpoint", "flight-delay"), message="drift").id
        1
    """
    if severity not in SEVERITIES:
        raise DataError(f"severity {severity!r} is not valid: use one of {', '.join(SEVERITIES)}")
    row = AlertRow(
        severity=severity,
        subject=str(subject),
        message=message,
        evidence=plain(evidence or {}, "evidence"),
        created_at=now(),
    )
    with writing(ws) as session:
        session.add(row)
        session.flush()
        return _alert(row)


def alerts(
    ws: Workspace, *, severity: str | None = None, subject: Node | None = None, limit: int | None = 100
) -> list[Alert]:
    """Alerts that have all the given properties, newest first; `limit` ``None`` returns all.

    Example:
        >>> import tempfile
        >>> alerts(Workspace.open(tempfile.mkdtemp()), severity="critical")
        []
    """
    query = select(AlertRow).order_by(col(AlertRow.id).desc()).limit(limit)
    if severity is not None:
        query = query.where(AlertRow.severity == severity)
    if subject is not None:
        query = query.where(AlertRow.subject == str(subject))
    with reading(ws) as session:
        return [_alert(row) for row in session.exec(query)]


def record_event(ws: Workspace, kind: str, subject: Node, payload: Mapping[str, Any] | None = None) -> Event:
    """Record that something happened. Event ids rise in the order of commits, so that no reader misses one.

    Raises:
        DataError: The payload has no JSON form.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> first = record_event(ws, "promoted", Node("model", "flight-delay", "2"), {"auc": 0.72})
        >>> [event.kind for event in events(ws, after=first.id - 1)]
        ['promoted']
    """
    row = EventRow(kind=kind, subject=str(subject), payload=plain(payload or {}, "payload"), created_at=now())
    with writing(ws) as session:
        if session.get_bind().dialect.name == "postgresql":
            # A sequence hands out ids before their commits: without this, 7 could become visible before 6.
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _EVENT_LOCK})
        session.add(row)
        session.flush()
        return _event(row)


def events(
    ws: Workspace,
    *,
    after: int = 0,
    kind: str | None = None,
    subject: Node | None = None,
    limit: int | None = 1000,
) -> list[Event]:
    """Events with an id greater than `after`, oldest first: pass the last id seen to go on from there.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = record_event(ws, "file-arrived", Node("source", "flights"), {"file": "july.csv"})
        >>> seen = events(ws)
        >>> [(event.kind, event.payload) for event in seen]
        [('file-arrived', {'file': 'july.csv'})]
        >>> events(ws, after=seen[-1].id)
        []
    """
    query = select(EventRow).where(col(EventRow.id) > after).order_by(col(EventRow.id)).limit(limit)
    if kind is not None:
        query = query.where(EventRow.kind == kind)
    if subject is not None:
        query = query.where(EventRow.subject == str(subject))
    with reading(ws) as session:
        return [_event(row) for row in session.exec(query)]


def _alert(row: AlertRow) -> Alert:
    return Alert(row.id or 0, row.severity, Node.parse(row.subject), row.message, row.evidence, row.created_at)


def _event(row: EventRow) -> Event:
    return Event(row.id or 0, row.kind, Node.parse(row.subject), row.payload, row.created_at)
