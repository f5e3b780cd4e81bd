"""Tracking: experiments; parameters, tags and metrics of runs as rows; data sets.

Up moves what was JSON in `run` into rows. A final figure that was never logged becomes a measurement at the newest
step, so that every latest value has a history. Down folds the rows back; what 0001 cannot hold goes: experiments,
data sets, lifecycles, and of several measurements at one step all but the newest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NEW = ("run_model", "dataset_input", "dataset", "metric_latest", "tag", "param", "experiment_tag")
LABELS = (("params", "param"), ("tags", "tag"))
CHUNK = 500
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the new tables and move the records into them."""
    _create_experiments()
    _create_labels()
    _rename_metric("metric", "metric_0001")
    op.create_table("metric", *_measured(), _key("metric", *_POINT), _run("metric"), sqlite_with_rowid=False)
    op.create_table("metric_latest", *_measured(), *_of_run("metric_latest"), sqlite_with_rowid=False)
    op.create_index("ix_metric_latest_key_value_is_nan", "metric_latest", ["key", "value", "is_nan"])
    _create_datasets()
    op.execute(
        "INSERT INTO metric SELECT run_seq, key, step, " + _microseconds("created_at") + ", coalesce(value, 0), "
        "value IS NULL FROM metric_0001"
    )
    for run in _runs("params", "metrics", "tags"):
        _unfold(run)
    op.drop_table("metric_0001")
    with op.batch_alter_table("run", table_kwargs={"sqlite_autoincrement": True}) as run_table:
        for column in ("params", "metrics", "tags"):
            run_table.drop_column(column)
        run_table.drop_constraint("fk_run_parent", type_="foreignkey")
        run_table.add_column(sa.Column("experiment_id", _counter_type(), nullable=False, server_default=sa.text("0")))
        run_table.add_column(sa.Column("lifecycle", sa.Text(), nullable=False, server_default="active"))
        run_table.add_column(sa.Column("deleted_at", MOMENT, nullable=True))
        run_table.add_column(sa.Column("user_id", sa.Text(), nullable=False, server_default=""))
        run_table.create_foreign_key("fk_run_experiment_id", "experiment", ["experiment_id"], ["id"])
        run_table.create_index("ix_run_experiment_id_created_at", ["experiment_id", "created_at"])


def downgrade() -> None:
    """Fold the rows back into `run` and drop the new tables."""
    # A parent that has been purged would break the key that comes back.
    op.execute("UPDATE run SET parent = NULL WHERE parent NOT IN (SELECT id FROM run)")
    with op.batch_alter_table("run", table_kwargs={"sqlite_autoincrement": True}) as run_table:
        for column in ("params", "metrics", "tags"):
            run_table.add_column(sa.Column(column, sa.Text(), nullable=False, server_default="{}"))
        run_table.drop_constraint("fk_run_experiment_id", type_="foreignkey")
        run_table.drop_index("ix_run_experiment_id_created_at")
        for column in ("experiment_id", "lifecycle", "deleted_at", "user_id"):
            run_table.drop_column(column)
        run_table.create_foreign_key("fk_run_parent", "run", ["parent"], ["id"])
    for run in _runs():
        _fold(run["seq"])
    with op.batch_alter_table("run", table_kwargs={"sqlite_autoincrement": True}) as run_table:
        for column in ("params", "metrics", "tags"):
            run_table.alter_column(column, server_default=None)
    _rename_metric("metric", "metric_0002")
    op.create_table(
        "metric",
        *_measured()[:3],
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        _key("metric", "run_seq", "key", "step"),
        _run("metric"),
    )
    op.execute(
        "INSERT INTO metric SELECT run_seq, key, step, CASE WHEN is_nan THEN NULL ELSE value END, "
        + _moment("logged_at")
        + " FROM (SELECT *, row_number() OVER (PARTITION BY run_seq, key, step ORDER BY logged_at DESC, value DESC) "
        "AS newest FROM metric_0002) AS points WHERE newest = 1"
    )
    for table in ("metric_0002", *NEW, "experiment"):
        op.drop_table(table)


_POINT = ("run_seq", "key", "step", "logged_at", "value", "is_nan")


def _counter_type() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, _counter_type(), nullable=False, autoincrement=False)


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, _counter_type(), nullable=False, autoincrement=True)


def _large(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name=f"fk_{table}_run_seq", ondelete="CASCADE")


def _of_run(table: str) -> tuple[sa.Constraint, sa.Constraint]:
    return _key(table, "run_seq", "key"), _run(table)


def _measured() -> list[sa.Column[Any]]:
    value: sa.Column[float] = sa.Column("value", sa.Double(), nullable=False)
    is_nan: sa.Column[bool] = sa.Column("is_nan", sa.Boolean(), nullable=False)
    return [_number("run_seq"), _text("key"), _large("step"), _large("logged_at"), value, is_nan]


def _create_experiments() -> None:
    table = op.create_table(
        "experiment",
        _counter("id"),
        _text("name"),
        _text("lifecycle"),
        _text("artifact_location", nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        _key("experiment", "id"),
        sa.UniqueConstraint("name", name="uq_experiment_name"),
        sqlite_autoincrement=True,
    )
    now = datetime.now(UTC)
    default = {"id": 0, "name": "Default", "lifecycle": "active", "created_at": now, "updated_at": now}
    op.bulk_insert(table, [default])
    op.create_table(
        "experiment_tag",
        _number("experiment_id"),
        _text("key"),
        _text("value"),
        _key("experiment_tag", "experiment_id", "key"),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name="fk_experiment_tag_experiment_id", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )


def _create_labels() -> None:
    for table in ("param", "tag"):
        typed: sa.Column[bool] = sa.Column("typed", sa.Boolean(), nullable=False)
        columns = (_number("run_seq"), _text("key"), _text("value"), typed)
        op.create_table(table, *columns, *_of_run(table), sqlite_with_rowid=False)
        op.create_index(f"ix_{table}_key", table, ["key"])


def _create_datasets() -> None:
    op.create_table(
        "dataset",
        _counter("id"),
        _number("experiment_id"),
        *(_text(name) for name in ("name", "digest", "source_type", "source")),
        _text("columns", nullable=True),
        _text("profile", nullable=True),
        _key("dataset", "id"),
        sa.UniqueConstraint("experiment_id", "name", "digest", name="uq_dataset_experiment_id_name_digest"),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiment.id"], name="fk_dataset_experiment_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "dataset_input",
        _number("run_seq"),
        _number("dataset_id"),
        _text("tags"),
        _text("context", nullable=True),
        _key("dataset_input", "run_seq", "dataset_id"),
        _run("dataset_input"),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_dataset_input_dataset_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dataset_input_dataset_id", "dataset_input", ["dataset_id"])
    op.create_table(
        "run_model",
        _number("run_seq"),
        _text("role"),
        _text("model_id"),
        _large("step"),
        _key("run_model", "run_seq", "role", "model_id", "step"),
        _run("run_model"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_run_model_model_id", "run_model", ["model_id"])


def _rename_metric(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # where constraints have names of their own
        for constraint in (f"pk_{old}", f"fk_{old}_run_seq"):
            op.execute(f"ALTER TABLE {old} RENAME CONSTRAINT {constraint} TO {constraint}_{revision}")
    op.rename_table(old, new)


def _microseconds(column: str) -> str:
    if op.get_bind().dialect.name == "postgresql":
        return f"(extract(epoch FROM {column}) * 1000000)::bigint"
    return f"CAST(strftime('%s', {column}) AS INTEGER) * 1000000 + CAST(substr({column}, 21, 6) AS INTEGER)"


def _moment(column: str) -> str:
    if op.get_bind().dialect.name == "postgresql":
        return f"timestamptz 'epoch' + {column} * interval '1 microsecond'"
    seconds = f"strftime('%Y-%m-%d %H:%M:%S', {column} / 1000000, 'unixepoch')"
    return f"{seconds} || '.' || printf('%06d', {column} % 1000000)"


def _runs(*columns: str) -> Iterator[Any]:
    """Every run, a chunk at a time."""
    names = ("created_at", "ended_at", *columns)
    table = sa.table("run", sa.column("seq"), *(sa.column(name) for name in names))
    table.c.created_at.type = table.c.ended_at.type = MOMENT
    last = 0
    while True:
        query = sa.select(table).where(table.c.seq > last).order_by(table.c.seq).limit(CHUNK)
        found = op.get_bind().execute(query).mappings().all()
        yield from found
        if not found:
            return
        last = found[-1]["seq"]


def _unfold(run: Any) -> None:
    bind = op.get_bind()
    for column, table in LABELS:
        rows = [_label(run["seq"], key, value) for key, value in json.loads(run[column]).items()]
        if rows:
            insert = f"INSERT INTO {table} (run_seq, key, value, typed) VALUES (:seq, :key, :value, :typed)"
            bind.execute(sa.text(insert), rows)
    ended = run["ended_at"] or run["created_at"]
    at = round((ended if ended.tzinfo else ended.replace(tzinfo=UTC)).timestamp() * 1_000_000)
    names = ", ".join(_POINT)
    values = "(:seq, :key, :step, :at, :value, :is_nan)"
    for key, value in json.loads(run["metrics"]).items():
        is_nan = math.isnan(value)
        point: dict[str, Any] = {"seq": run["seq"], "key": _clean(key), "value": 0.0 if is_nan else value}
        newest = bind.execute(_NEWEST, point).first()
        same = newest is not None and (newest.is_nan, newest.value) == (is_nan, point["value"])
        point |= {"step": newest.step if newest else 0, "at": at, "is_nan": is_nan}
        if newest is not None:
            point["at"] = newest.logged_at if same else max(at, newest.logged_at + 1)
        if not same:
            bind.execute(sa.text(f"INSERT INTO metric ({names}) VALUES {values}"), point)
        bind.execute(sa.text(f"INSERT INTO metric_latest ({names}) VALUES {values}"), point)


_NEWEST = sa.text(
    "SELECT step, logged_at, value, is_nan FROM metric WHERE run_seq = :seq AND key = :key "
    "ORDER BY step DESC, logged_at DESC LIMIT 1"
)


def _label(seq: int, key: str, value: object) -> dict[str, Any]:
    plain = isinstance(value, str) and _clean(value) == value
    return {"seq": seq, "key": _clean(key), "value": value if plain else json.dumps(value), "typed": not plain}


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fold(seq: int) -> None:
    bind = op.get_bind()
    folded: dict[str, dict[str, Any]] = {}
    for column, table in LABELS:
        query = sa.text(f"SELECT key, value, typed FROM {table} WHERE run_seq = :seq")
        rows = bind.execute(query, {"seq": seq})
        folded[column] = {row.key: json.loads(row.value) if row.typed else row.value for row in rows}
    query = sa.text("SELECT key, value, is_nan FROM metric_latest WHERE run_seq = :seq")
    folded["metrics"] = {
        row.key: math.nan if row.is_nan else float(row.value) for row in bind.execute(query, {"seq": seq})
    }
    update = sa.text("UPDATE run SET params = :params, metrics = :metrics, tags = :tags WHERE seq = :seq")
    packed = {column: json.dumps(values, separators=(",", ":")) for column, values in folded.items()}
    bind.execute(update, {"seq": seq, **packed})
