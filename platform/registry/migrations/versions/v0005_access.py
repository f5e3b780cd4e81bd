"""API tokens and the append-only audit log.

Types are spelled out here and never imported from the code: a migration must stay what it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SQLITE = """
CREATE TRIGGER audit_entry_no_{verb} BEFORE {verb} ON audit_entry
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""
_POSTGRES = """
CREATE FUNCTION audit_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
"""


def upgrade() -> None:
    """Create the tables, and the triggers that keep the log as it was written."""
    op.create_table(
        "access_token",
        *(_text(name) for name in ("id", "digest", "user", "role", "scopes", "note", "created_by")),
        _moment("created_at"),
        *(_moment(name, nullable=True) for name in ("expires_at", "revoked_at", "last_used_at")),
        sa.PrimaryKeyConstraint("id", name="pk_access_token"),
    )
    op.create_index("ix_access_token_user", "access_token", ["user"])
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=True),
        *(_text(name) for name in ("user", "token", "address", "action", "subject")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("status", "count")),
        _moment("at"),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_entry"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entry_user", "audit_entry", ["user"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(_SQLITE.format(verb=verb))
    else:
        op.execute(_POSTGRES)
        op.execute(
            "CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_append_only()"
        )


def downgrade() -> None:
    """Drop the tables, with the tokens and the log."""
    op.drop_table("audit_entry")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_entry_append_only()")
    op.drop_table("access_token")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
