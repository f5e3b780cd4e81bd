"""Evaluations of model versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "evaluation",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("metrics", sa.Text(), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["model_version.model", "model_version.version"],
            name="fk_evaluation_model_version",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_evaluation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_evaluation_model_version", "evaluation", ["model", "version"])
    op.create_index("ix_evaluation_data", "evaluation", ["data"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("evaluation")
