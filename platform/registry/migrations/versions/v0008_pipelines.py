"""Pipelines: versions, runs, steps, cached results, schedules, pools, deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (
    "pipeline_version",
    "pipeline_run",
    "pipeline_step",
    "pipeline_cache",
    "pipeline_schedule",
    "pipeline_pool",
    "pipeline_delivery",
)


def upgrade() -> None:
    """Create the tables of pipelines."""
    _versions()
    _runs()
    _steps()
    _schedules()
    _deliveries()


def downgrade() -> None:
    """Drop them, with their records."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _large(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def _sequence(name: str, *, counts: bool = True) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, autoincrement=counts)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _versions() -> None:
    op.create_table(
        "pipeline_version",
        _text("pipeline"),
        _large("number"),
        _text("fingerprint"),
        _text("graph"),
        _moment("created_at"),
        _key("pipeline_version", "pipeline", "number"),
        sa.UniqueConstraint("pipeline", "fingerprint", name="uq_pipeline_version_pipeline_fingerprint"),
    )


def _runs() -> None:
    op.create_table(
        "pipeline_run",
        _sequence("seq"),
        *(_text(name) for name in ("id", "pipeline")),
        _large("version"),
        *(_text(name) for name in ("definition", "state", "request", "params")),
        _text("event", nullable=True),
        _text("dedupe", nullable=True),
        _text("schedule"),
        _moment("due_at", nullable=True),
        _moment("late_at", nullable=True),
        _text("pool"),
        _large("priority"),
        _text("fair_group"),
        _large("concurrency", nullable=True),
        _text("owner"),
        _large("token"),
        _moment("lease_until", nullable=True),
        _large("drives"),
        _text("error"),
        _moment("created_at"),
        _moment("started_at", nullable=True),
        _moment("ended_at", nullable=True),
        _key("pipeline_run", "seq"),
        sa.UniqueConstraint("id", name="uq_pipeline_run_id"),
        sa.UniqueConstraint("dedupe", name="uq_pipeline_run_dedupe"),
        sa.ForeignKeyConstraint(
            ["pipeline", "version"],
            ["pipeline_version.pipeline", "pipeline_version.number"],
            name="fk_pipeline_run_pipeline_version",
        ),
        sqlite_autoincrement=True,
    )
    for columns in (["pipeline", "seq"], ["state", "seq"], ["pipeline", "state", "seq"], ["schedule", "seq"]):
        op.create_index("ix_pipeline_run_" + "_".join(columns), "pipeline_run", columns)


def _steps() -> None:
    op.create_table(
        "pipeline_step",
        _sequence("run_seq", counts=False),
        *(_text(name) for name in ("key", "state")),
        *(_large(name) for name in ("attempt", "failures", "crashes", "generation")),
        _large("width", nullable=True),
        _text("output", nullable=True),
        *(_text(name) for name in ("inputs", "reads", "writes", "error", "attempts")),
        _moment("started_at", nullable=True),
        _moment("ended_at", nullable=True),
        _key("pipeline_step", "run_seq", "key"),
        sa.ForeignKeyConstraint(["run_seq"], ["pipeline_run.seq"], name="fk_pipeline_step_run_seq", ondelete="CASCADE"),
    )
    op.create_table(
        "pipeline_cache",
        *(_text(name) for name in ("key", "output", "run_id", "step")),
        _moment("created_at"),
        _key("pipeline_cache", "key"),
    )


def _schedules() -> None:
    op.create_table(
        "pipeline_schedule",
        *(_text(name) for name in ("name", "pipeline")),
        _large("version"),
        *(_text(name) for name in ("definition", "trigger", "params", "overlap", "missed", "pool")),
        _large("priority"),
        _large("concurrency", nullable=True),
        sa.Column("late_after", sa.Double(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        _moment("next_due", nullable=True),
        _text("memory"),
        _moment("created_at"),
        _key("pipeline_schedule", "name"),
    )
    op.create_index("ix_pipeline_schedule_next_due", "pipeline_schedule", ["next_due"])
    op.create_table("pipeline_pool", _text("name"), _large("slots"), _key("pipeline_pool", "name"))


def _deliveries() -> None:
    op.create_table(
        "pipeline_delivery",
        _sequence("seq"),
        *(_text(name) for name in ("run_id", "occasion", "channel", "body", "state", "attempts")),
        _moment("next_at"),
        _moment("created_at"),
        _key("pipeline_delivery", "seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pipeline_delivery_state_next_at", "pipeline_delivery", ["state", "next_at"])
    op.create_index("ix_pipeline_delivery_run_id", "pipeline_delivery", ["run_id"])
