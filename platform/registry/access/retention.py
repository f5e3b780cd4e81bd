"""How long the audit log is kept: the one way in which entries leave it, which leaves an entry itself."""

from __future__ import annotations

import getpass
from datetime import timedelta

from sqlalchemy import Connection, text

from ...core import Workspace, duration
from ..engine import now, transaction
from ..schema import MAPPERS
from .log import add_changes
from .records import AuditEntry

EXPIRED = "audit.expire"
_LOG = MAPPERS.metadata.tables["audit_entry"]
_TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'"


def expire_audit(ws: Workspace, keep: timedelta | str, *, by: AuditEntry | None = None) -> int:
    """Remove the entries that are older than `keep`; that it was done, until when and by whom, is recorded.

    One transaction lifts the database's guard of the log, removes, writes the entry and sets the guard again.

    Args:
        ws: The workspace.
        keep: How long entries stay, such as ``90d``.
        by: Who asks, for the audit log; default: the user of this process.

    Returns:
        How many entries were removed.

    Raises:
        ConfigError: `keep` is no duration.
        StorageError: The registry cannot be written, or its user does not own the log.

    Example:
        >>> import tempfile
        >>> from raylake.registry.access import audit, create_token
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_token(ws, "ann")
        >>> expire_audit(ws, "90d"), expire_audit(ws, timedelta(microseconds=1))
        (0, 2)
        >>> [(entry.action, entry.subject["removed"]) for entry in audit(ws)]
        [('audit.expire', 2)]
    """
    before = now() - duration(keep, "keep")
    who = by or AuditEntry(getpass.getuser(), "", "local", "", {})
    with transaction(ws.registry_url) as connection:
        guard = _lift(connection)
        removed = connection.execute(_LOG.delete().where(_LOG.c.at < before)).rowcount
        for statement in guard:
            connection.execute(text(statement))
        subject = {"before": before, "removed": removed}
        add_changes(connection, [AuditEntry(who.user, who.token, who.address, EXPIRED, subject, who.status)])
    return removed


def _lift(connection: Connection) -> list[str]:
    """Let rows of the log be removed in this transaction; the statements that end this."""
    if connection.dialect.name != "sqlite":
        connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_append_only"))
        return ["ALTER TABLE audit_entry ENABLE TRIGGER audit_entry_append_only"]
    found = connection.execute(text(_TRIGGERS)).all()
    for name, _ in found:
        connection.execute(text(f'DROP TRIGGER "{name}"'))
    return [sql for _, sql in found]
