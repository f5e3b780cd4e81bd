"""Schedulers of pipelines tell that they turn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pipeline_scheduler",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period", sa.Double(), nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("busy", sa.Double(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_pipeline_scheduler"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("pipeline_scheduler")
