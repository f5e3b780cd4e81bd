"""The first schema.

Types are spelled out here and never imported from the code: a migration must stay what it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "table_version",
    "run",
    "metric",
    "model",
    "model_version",
    "model_alias",
    "alias_move",
    "deployment",
    "drift_report",
    "alert",
    "event",
    "lineage_node",
    "lineage_edge",
)


def upgrade() -> None:
    """Create every table."""
    _catalog()
    _tracking()
    _models()
    _operations()
    _journal()
    _lineage()


def downgrade() -> None:
    """Drop every table, with its records."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _large(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def _number(name: str) -> sa.Column[int]:
    """A column that refers to a `_counter`."""
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, autoincrement=False)


def _counter(name: str) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, autoincrement=True)


def _real(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=True)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _version_key(table: str) -> sa.ForeignKeyConstraint:
    target = ["model_version.model", "model_version.version"]
    return sa.ForeignKeyConstraint(["model", "version"], target, name=f"fk_{table}_model_version")


def _catalog() -> None:
    op.create_table(
        "table_version",
        _text("name"),
        _large("version"),
        _large("rows", nullable=True),
        _text("columns"),
        _text("operation"),
        _text("metrics"),
        _text("source"),
        _moment("created_at"),
        _key("table_version", "name", "version"),
    )


def _tracking() -> None:
    op.create_table(
        "run",
        _counter("seq"),
        *(_text(name) for name in ("id", "kind", "name", "status", "params", "metrics", "tags", "inputs", "outputs")),
        _text("parent", nullable=True),
        _text("artifact", nullable=True),
        _text("error"),
        _moment("created_at"),
        _moment("ended_at", nullable=True),
        _key("run", "seq"),
        sa.UniqueConstraint("id", name="uq_run_id"),
        sa.ForeignKeyConstraint(["parent"], ["run.id"], name="fk_run_parent"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_kind_name", "run", ["kind", "name"])
    op.create_index("ix_run_parent", "run", ["parent"])
    op.create_table(
        "metric",
        _number("run_seq"),
        _text("key"),
        _large("step"),
        _real("value"),
        _moment("created_at"),
        _key("metric", "run_seq", "key", "step"),
        sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name="fk_metric_run_seq", ondelete="CASCADE"),
    )


def _models() -> None:
    op.create_table("model", _text("name"), _moment("created_at"), _key("model", "name"))
    op.create_table(
        "model_version",
        _text("model"),
        _large("version"),
        _text("artifact"),
        _text("run_id", nullable=True),
        _text("metrics"),
        _text("description"),
        _moment("created_at"),
        _key("model_version", "model", "version"),
        sa.ForeignKeyConstraint(["model"], ["model.name"], name="fk_model_version_model"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_model_version_run_id"),
        sa.UniqueConstraint("model", "run_id", name="uq_model_version_model_run_id"),
    )
    op.create_index("ix_model_version_run_id", "model_version", ["run_id"])
    op.create_table(
        "model_alias",
        _text("model"),
        _text("alias"),
        _large("version"),
        _key("model_alias", "model", "alias"),
        _version_key("model_alias"),
    )
    op.create_table(
        "alias_move",
        _counter("seq"),
        _text("model"),
        _text("alias"),
        _large("version"),
        _moment("created_at"),
        _key("alias_move", "seq"),
        _version_key("alias_move"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alias_move_model_alias", "alias_move", ["model", "alias"])


def _operations() -> None:
    op.create_table(
        "deployment",
        _counter("seq"),
        _text("endpoint"),
        _text("model"),
        _large("version"),
        *(_text(name) for name in ("target", "config", "url", "status")),
        _moment("created_at"),
        _moment("ended_at", nullable=True),
        _key("deployment", "seq"),
        _version_key("deployment"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployment_endpoint", "deployment", ["endpoint"])
    op.create_table(
        "drift_report",
        _counter("seq"),
        *(_text(name) for name in ("id", "endpoint", "model")),
        _large("version"),
        _moment("window_start"),
        _moment("window_end"),
        *(_text(name) for name in ("reference", "current")),
        _real("share"),
        *(_text(name) for name in ("columns", "metrics", "artifacts")),
        _moment("created_at"),
        _key("drift_report", "seq"),
        sa.UniqueConstraint("id", name="uq_drift_report_id"),
        _version_key("drift_report"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_drift_report_endpoint", "drift_report", ["endpoint"])


def _journal() -> None:
    op.create_table(
        "alert",
        _counter("id"),
        *(_text(name) for name in ("severity", "subject", "message", "evidence")),
        _moment("created_at"),
        _key("alert", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alert_subject", "alert", ["subject"])
    op.create_table(
        "event",
        _counter("id"),
        *(_text(name) for name in ("kind", "subject", "payload")),
        _moment("created_at"),
        _key("event", "id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_kind", "event", ["kind"])


def _lineage() -> None:
    op.create_table(
        "lineage_node",
        _counter("id"),
        *(_text(name) for name in ("kind", "name", "version")),
        _key("lineage_node", "id"),
        sa.UniqueConstraint("kind", "name", "version", name="uq_lineage_node_kind_name_version"),
    )
    op.create_table(
        "lineage_edge",
        _counter("id"),
        _number("source"),
        _number("target"),
        _moment("created_at"),
        _key("lineage_edge", "id"),
        sa.UniqueConstraint("source", "target", name="uq_lineage_edge_source_target"),
        sa.ForeignKeyConstraint(["source"], ["lineage_node.id"], name="fk_lineage_edge_source"),
        sa.ForeignKeyConstraint(["target"], ["lineage_node.id"], name="fk_lineage_edge_target"),
    )
    op.create_index("ix_lineage_edge_target", "lineage_edge", ["target"])
