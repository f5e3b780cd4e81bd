"""The registry's tables, as SQLModel rows. Private: callers get the frozen records of `records.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, MetaData, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from .columns import CleanText, Json, Real, Sequence

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# A registry of our own: the caller's SQLModel classes may use the same names.
MAPPERS = registry(metadata=MetaData(naming_convention=NAMING))


class Row(SQLModel, registry=MAPPERS):
    """Base of the rows."""


class TableVersionRow(Row, table=True):
    """One immutable version of a Delta table."""

    __tablename__ = "table_version"

    name: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    rows: int | None = Field(default=None, sa_type=BigInteger)
    columns: dict[str, Any] = Field(sa_type=Json)
    operation: str = Field(sa_type=CleanText)
    metrics: dict[str, Any] = Field(sa_type=Json)
    source: str = Field(sa_type=CleanText)
    created_at: datetime


class RunRow(Row, table=True):
    """One execution."""

    __tablename__ = "run"
    __table_args__: ClassVar[Any] = (
        Index(None, "kind", "name"),
        ForeignKeyConstraint(["parent"], ["run.id"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    params: dict[str, Any] = Field(sa_type=Json)
    metrics: dict[str, float] = Field(sa_type=Json)
    tags: dict[str, Any] = Field(sa_type=Json)
    inputs: list[str] = Field(sa_type=Json)
    outputs: list[str] = Field(sa_type=Json)
    parent: str | None = Field(default=None, index=True, sa_type=CleanText)
    artifact: str | None = Field(default=None, sa_type=CleanText)
    error: str = Field(default="", sa_type=CleanText)
    created_at: datetime
    ended_at: datetime | None = None


class MetricRow(Row, table=True):
    """One value of a metric at one step of a run."""

    __tablename__ = "metric"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(["run_seq"], ["run.seq"], ondelete="CASCADE"),)

    run_seq: int = Field(primary_key=True, sa_type=Sequence, sa_column_kwargs={"autoincrement": False})
    key: str = Field(primary_key=True, sa_type=CleanText)
    step: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    value: float | None = Field(sa_type=Real, nullable=True)
    created_at: datetime


class ModelRow(Row, table=True):
    """A registered model's name."""

    __tablename__ = "model"

    name: str = Field(primary_key=True, sa_type=CleanText)
    created_at: datetime


class ModelVersionRow(Row, table=True):
    """One immutable version of a model."""

    __tablename__ = "model_version"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model"], ["model.name"]),
        ForeignKeyConstraint(["run_id"], ["run.id"]),
        UniqueConstraint("model", "run_id"),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    artifact: str = Field(sa_type=CleanText)
    run_id: str | None = Field(default=None, index=True, sa_type=CleanText)
    metrics: dict[str, float] = Field(sa_type=Json)
    description: str = Field(sa_type=CleanText)
    created_at: datetime


class AliasRow(Row, table=True):
    """Where an alias points now."""

    __tablename__ = "model_alias"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    alias: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)


class AliasMoveRow(Row, table=True):
    """One move of an alias."""

    __tablename__ = "alias_move"
    __table_args__: ClassVar[Any] = (
        Index(None, "model", "alias"),
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    model: str = Field(sa_type=CleanText)
    alias: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    created_at: datetime


class DeploymentRow(Row, table=True):
    """A model version that was put behind an endpoint."""

    __tablename__ = "deployment"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    endpoint: str = Field(index=True, sa_type=CleanText)
    model: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    target: str = Field(sa_type=CleanText)
    config: dict[str, Any] = Field(sa_type=Json)
    url: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    created_at: datetime
    ended_at: datetime | None = None


class DriftReportRow(Row, table=True):
    """The stored result of one comparison."""

    __tablename__ = "drift_report"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    endpoint: str = Field(index=True, sa_type=CleanText)
    model: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    window_start: datetime
    window_end: datetime
    reference: str = Field(sa_type=CleanText)
    current: str = Field(sa_type=CleanText)
    share: float | None = Field(sa_type=Real, nullable=True)
    columns: dict[str, Any] = Field(sa_type=Json)
    metrics: dict[str, Any] = Field(sa_type=Json)
    artifacts: dict[str, str] = Field(sa_type=Json)
    created_at: datetime


class AlertRow(Row, table=True):
    """A notification."""

    __tablename__ = "alert"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    severity: str = Field(sa_type=CleanText)
    subject: str = Field(index=True, sa_type=CleanText)
    message: str = Field(sa_type=CleanText)
    evidence: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime


class EventRow(Row, table=True):
    """Something that happened; `id` rises in the order of commits and is never reused."""

    __tablename__ = "event"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    kind: str = Field(index=True, sa_type=CleanText)
    subject: str = Field(sa_type=CleanText)
    payload: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime


class NodeRow(Row, table=True):
    """A vertex of the lineage graph; integers keep the recursive walk small."""

    __tablename__ = "lineage_node"
    __table_args__: ClassVar[Any] = (UniqueConstraint("kind", "name", "version"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    kind: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    version: str = Field(sa_type=CleanText)


class EdgeRow(Row, table=True):
    """One edge: `target` was made from `source`."""

    __tablename__ = "lineage_edge"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("source", "target"),
        ForeignKeyConstraint(["source"], ["lineage_node.id"]),
        ForeignKeyConstraint(["target"], ["lineage_node.id"]),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    source: int = Field(sa_type=Sequence)
    target: int = Field(index=True, sa_type=Sequence)
    created_at: datetime
