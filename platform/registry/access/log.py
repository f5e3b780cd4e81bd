"""The audit log: entries are appended and read, nothing else; triggers in the database refuse the rest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection
from sqlmodel import col, select

from ...core import Workspace
from ..columns import plain
from ..engine import reading, transaction
from ..schema import MAPPERS, AuditRow
from .records import AuditEntry

# Past the ORM: the entry is on the way of every change.
_INSERT = MAPPERS.metadata.tables["audit_entry"].insert()
LONGEST = 1024  # characters of an action


def record_changes(ws: Workspace, changes: Iterable[AuditEntry]) -> None:
    """Append entries, all in one transaction.

    Raises:
        DataError: A subject has no JSON form.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> record_changes(ws, [AuditEntry("ann", "", "local", "table.purge", {"name": "main.flights"})])
        >>> [(entry.user, entry.action) for entry in audit(ws)]
        [('ann', 'table.purge')]
    """
    with transaction(ws.registry_url) as connection:
        add_changes(connection, changes)


def add_changes(connection: Connection, changes: Iterable[AuditEntry]) -> None:
    """Append entries within a transaction of the caller."""
    rows = [
        {
            "user": each.user,
            "token": each.token,
            "address": each.address,
            "action": each.action[:LONGEST],
            "subject": plain(each.subject, "subject"),
            "status": each.status,
            "count": each.count,
            "at": each.at,
        }
        for each in changes
    ]
    if rows:
        connection.execute(_INSERT, rows)


def audit(
    ws: Workspace,
    *,
    user: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int | None = 100,
) -> list[AuditEntry]:
    """Entries of the log that have all the given properties, newest first.

    Args:
        ws: The workspace.
        user: Only this user's.
        action: Only actions that contain this text.
        since: Only from this moment on.
        before: Only entries with a smaller id: pass the last id seen to page on.
        limit: At most so many; ``None`` returns all.

    Example: see `record_changes`.

        >>> import tempfile
        >>> audit(Workspace.open(tempfile.mkdtemp()), user="ann")
        []
    """
    query = select(AuditRow).order_by(col(AuditRow.seq).desc()).limit(limit)
    if user is not None:
        query = query.where(AuditRow.user == user)
    if action is not None:
        query = query.where(col(AuditRow.action).contains(action, autoescape=True))
    if since is not None:
        query = query.where(col(AuditRow.at) >= since)
    if before is not None:
        query = query.where(col(AuditRow.seq) < before)
    with reading(ws) as session:
        return [_entry(row) for row in session.exec(query)]


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        row.user, row.token, row.address, row.action, row.subject, row.status, row.count, row.at, row.seq or 0
    )
