"""Models of MLflow's kind: labels, stages and sources of versions, logged models, the artifact tree, webhooks.

Down loses what 0002 cannot hold: those records, the deleted versions with their history, and of several versions
that one run gave to one model the run of all but the oldest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW = (
    "webhook_delivery",
    "webhook",
    "artifact_entry",
    "logged_model_metric",
    "logged_model_param",
    "logged_model_tag",
    "logged_model",
    "model_version_tag",
    "model_tag",
)
MOMENT = sa.DateTime(timezone=True)
VERSION_COLUMNS = ("source", "run_link", "logged_model", "stage", "updated_at", "deleted_at")
MODEL_COLUMNS = ("description", "updated_at", "deleted_at")


def upgrade() -> None:
    """Add the columns and tables."""
    for column in (_said("description"), _moment("updated_at", nullable=True), _moment("deleted_at", nullable=True)):
        op.add_column("model", column)
    with op.batch_alter_table("model_version") as table:
        table.drop_constraint("fk_model_version_run_id", type_="foreignkey")
        table.drop_constraint("uq_model_version_model_run_id", type_="unique")
        for column in (
            _said("source"),
            _said("run_link"),
            _text("logged_model", nullable=True),
            _said("stage", "None"),
            _moment("updated_at", nullable=True),
            _moment("deleted_at", nullable=True),
        ):
            table.add_column(column)
        table.create_index("ix_model_version_model_run_id", ["model", "run_id"])
    _create_tags()
    _create_logged_models()
    _create_tree()
    _create_webhooks()


def downgrade() -> None:
    """Drop them."""
    for table in NEW:
        op.drop_table(table)
    gone = "SELECT 1 FROM model_version v WHERE v.model = {0}.model AND v.version = {0}.version AND v.deleted_at"
    for table in ("model_alias", "alias_move", "deployment", "drift_report"):
        op.execute(f"DELETE FROM {table} WHERE EXISTS ({gone.format(table)} IS NOT NULL)")
    op.execute("DELETE FROM model_version WHERE deleted_at IS NOT NULL")
    op.execute(
        "DELETE FROM model WHERE deleted_at IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM model_version v WHERE v.model = model.name)"
    )
    op.execute("UPDATE model_version SET run_id = NULL WHERE run_id NOT IN (SELECT id FROM run)")
    op.execute(
        "UPDATE model_version SET run_id = NULL WHERE EXISTS (SELECT 1 FROM model_version older "
        "WHERE older.model = model_version.model AND older.run_id = model_version.run_id "
        "AND older.version < model_version.version)"
    )
    with op.batch_alter_table("model_version") as version:
        version.drop_index("ix_model_version_model_run_id")
        for name in VERSION_COLUMNS:
            version.drop_column(name)
        version.create_foreign_key("fk_model_version_run_id", "run", ["run_id"], ["id"])
        version.create_unique_constraint("uq_model_version_model_run_id", ["model", "run_id"])
    with op.batch_alter_table("model") as model:
        for name in MODEL_COLUMNS:
            model.drop_column(name)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _said(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=nullable)


def _counter(name: str, *, auto: bool = True) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, nullable=False, autoincrement=auto)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _create_tags() -> None:
    op.create_table(
        "model_tag",
        *(_text(name) for name in ("model", "key", "value")),
        _key("model_tag", "model", "key"),
        sa.ForeignKeyConstraint(["model"], ["model.name"], name="fk_model_tag_model"),
    )
    op.create_index("ix_model_tag_key", "model_tag", ["key"])
    op.create_table(
        "model_version_tag",
        _text("model"),
        _large("version"),
        _text("key"),
        _text("value"),
        _key("model_version_tag", "model", "version", "key"),
        sa.ForeignKeyConstraint(
            ["model", "version"],
            ["model_version.model", "model_version.version"],
            name="fk_model_version_tag_model_version",
        ),
    )
    op.create_index("ix_model_version_tag_key", "model_version_tag", ["key"])


def _create_logged_models() -> None:
    op.create_table(
        "logged_model",
        _counter("seq"),
        *(_text(name) for name in ("id", "experiment_id", "name", "model_type", "run_id", "artifact_uri", "status")),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("deleted_at", nullable=True),
        _key("logged_model", "seq"),
        sa.UniqueConstraint("id", name="uq_logged_model_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_logged_model_experiment_id_seq", "logged_model", ["experiment_id", "seq"])
    op.create_index("ix_logged_model_run_id", "logged_model", ["run_id"])
    for table in ("logged_model_tag", "logged_model_param"):
        op.create_table(
            table,
            *(_text(name) for name in ("model_id", "key", "value")),
            _key(table, "model_id", "key"),
            _of_model(table),
        )
    op.create_table(
        "logged_model_metric",
        *(_text(name) for name in ("model_id", "key", "dataset", "dataset_digest", "run_id")),
        sa.Column("value", sa.Double(), nullable=True),
        _large("step"),
        _large("logged_at"),
        _key("logged_model_metric", "model_id", "key", "dataset", "dataset_digest"),
        _of_model("logged_model_metric"),
    )


def _of_model(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["model_id"], ["logged_model.id"], name=f"fk_{table}_model_id", ondelete="CASCADE")


def _create_tree() -> None:
    op.create_table(
        "artifact_entry",
        _text("folder"),
        _text("name"),
        _text("digest", nullable=True),
        _large("size"),
        _moment("created_at"),
        _key("artifact_entry", "folder", "name"),
    )
    op.create_index("ix_artifact_entry_digest", "artifact_entry", ["digest"])


def _create_webhooks() -> None:
    op.create_table(
        "webhook",
        _counter("seq"),
        *(_text(name) for name in ("id", "name", "url", "events", "description", "secret", "status")),
        _moment("created_at"),
        _moment("updated_at"),
        _key("webhook", "seq"),
        sa.UniqueConstraint("id", name="uq_webhook_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "webhook_delivery",
        _counter("seq"),
        _text("id"),
        _counter("webhook", auto=False),
        *(_text(name) for name in ("event", "payload", "status")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        _text("error"),
        _moment("created_at"),
        _moment("due_at"),
        _moment("ended_at", nullable=True),
        _key("webhook_delivery", "seq"),
        sa.UniqueConstraint("id", name="uq_webhook_delivery_id"),
        sa.ForeignKeyConstraint(["webhook"], ["webhook.seq"], name="fk_webhook_delivery_webhook", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_delivery_status_due_at", "webhook_delivery", ["status", "due_at"])
    op.create_index("ix_webhook_delivery_webhook", "webhook_delivery", ["webhook"])
