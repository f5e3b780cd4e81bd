"""Lineage: what a walk needs in covering indexes, columns, and OpenLineage events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Every thing gets a row without a version; the rows with one point at it.
_THINGS = """
INSERT INTO lineage_node (kind, name, version)
SELECT DISTINCT kind, name, '' FROM lineage_node WHERE version <> '' ON CONFLICT DO NOTHING
"""
_POINT = """
UPDATE lineage_node SET thing = (
    SELECT every.id FROM lineage_node AS every
    WHERE every.kind = lineage_node.kind AND every.name = lineage_node.name AND every.version = ''
) WHERE version <> ''
"""
_FORGET = """
DELETE FROM lineage_node WHERE version = ''
AND NOT EXISTS (SELECT 1 FROM lineage_edge WHERE source = lineage_node.id)
AND NOT EXISTS (SELECT 1 FROM lineage_edge WHERE target = lineage_node.id)
"""


def upgrade() -> None:
    """Point every version at its thing, cover both directions, add columns and events."""
    # Never as a batch: SQLite would make the table anew, and the edges' foreign keys forbid to drop the old one.
    op.add_column("lineage_node", sa.Column("thing", _NUMBER, nullable=True, autoincrement=False))
    op.create_index("ix_lineage_node_thing", "lineage_node", ["thing"])
    op.execute(_THINGS)
    op.execute(_POINT)
    op.drop_index("ix_lineage_edge_target", "lineage_edge")
    op.create_index("ix_lineage_edge_target_source", "lineage_edge", ["target", "source"])
    _columns()
    _events()


def downgrade() -> None:
    """Back to versions found by scanning; columns and events are dropped."""
    op.drop_table("lineage_event")
    op.drop_table("lineage_column")
    op.drop_index("ix_lineage_edge_target_source", "lineage_edge")
    op.create_index("ix_lineage_edge_target", "lineage_edge", ["target"])
    op.drop_index("ix_lineage_node_thing", "lineage_node")
    op.drop_column("lineage_node", "thing")
    op.execute(_FORGET)


def _columns() -> None:
    op.create_table(
        "lineage_column",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        sa.Column("source", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("source_column", sa.Text(), nullable=False),
        sa.Column("target", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("target_column", sa.Text(), nullable=False),
        sa.Column("how", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lineage_column"),
        sa.UniqueConstraint(
            *("source", "source_column", "target", "target_column"),
            name="uq_lineage_column_source_source_column_target_target_column",
        ),
        sa.ForeignKeyConstraint(["source"], ["lineage_node.id"], name="fk_lineage_column_source", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["target"], ["lineage_node.id"], name="fk_lineage_column_target", ondelete="CASCADE"),
    )
    op.create_index("ix_lineage_column_target_target_column", "lineage_column", ["target", "target_column"])


def _events() -> None:
    op.create_table(
        "lineage_event",
        sa.Column("id", _NUMBER, nullable=False, autoincrement=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("digest", "run", "job", "state", "payload")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lineage_event"),
        sa.UniqueConstraint("digest", name="uq_lineage_event_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lineage_event_run", "lineage_event", ["run"])
