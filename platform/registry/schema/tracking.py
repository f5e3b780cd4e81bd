"""Experiments, runs and what is logged to them.

Whatever belongs to a run refers to `RunRow.seq`, a small integer, and goes when the run is purged. SQLite keeps the
tables below without row ids: a run's rows lie side by side, in the order of their key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, Double, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row

ACTIVE, DELETED = "active", "deleted"  # lifecycles
_CLUSTERED = {"sqlite_with_rowid": False}
_TO_RUN: Any = {"columns": ["run_seq"], "refcolumns": ["run.seq"], "ondelete": "CASCADE"}


def _large(*, primary_key: bool = False) -> Any:
    return Field(primary_key=primary_key, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


def _run_key() -> Any:
    return Field(primary_key=True, sa_type=Sequence, sa_column_kwargs={"autoincrement": False})


class ExperimentRow(Row, table=True):
    """A group of runs. Number 0, `Default`, always exists."""

    __tablename__ = "experiment"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    name: str = Field(unique=True, sa_type=CleanText)
    lifecycle: str = Field(default=ACTIVE, sa_type=CleanText)
    artifact_location: str | None = Field(default=None, sa_type=CleanText)
    created_at: datetime
    updated_at: datetime


class ExperimentTagRow(Row, table=True):
    """A label of an experiment."""

    __tablename__ = "experiment_tag"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["experiment_id"], ["experiment.id"], ondelete="CASCADE"),
        _CLUSTERED,
    )

    experiment_id: int = Field(primary_key=True, sa_type=Sequence, sa_column_kwargs={"autoincrement": False})
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)


class RunRow(Row, table=True):
    """One execution. `parent` may name a run that has been purged."""

    __tablename__ = "run"
    __table_args__: ClassVar[Any] = (
        Index(None, "kind", "name"),
        Index(None, "experiment_id", "created_at"),
        ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    inputs: list[str] = Field(sa_type=Json)
    outputs: list[str] = Field(sa_type=Json)
    parent: str | None = Field(default=None, index=True, sa_type=CleanText)
    artifact: str | None = Field(default=None, sa_type=CleanText)
    error: str = Field(default="", sa_type=CleanText)
    created_at: datetime
    ended_at: datetime | None = None
    experiment_id: int = Field(default=0, sa_type=Sequence, sa_column_kwargs={"server_default": text("0")})
    lifecycle: str = Field(default=ACTIVE, sa_type=CleanText, sa_column_kwargs={"server_default": ACTIVE})
    deleted_at: datetime | None = None
    user_id: str = Field(default="", sa_type=CleanText, sa_column_kwargs={"server_default": ""})


class ParamRow(Row, table=True):
    """A parameter: text as it is, or (`typed`) the JSON of any other value."""

    __tablename__ = "param"
    __table_args__: ClassVar[Any] = (Index(None, "key"), ForeignKeyConstraint(**_TO_RUN), _CLUSTERED)

    run_seq: int = _run_key()
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)
    typed: bool = Field(default=False, sa_type=Boolean)


class TagRow(Row, table=True):
    """A label of a run: text as it is, or (`typed`) the JSON of any other value."""

    __tablename__ = "tag"
    __table_args__: ClassVar[Any] = (Index(None, "key"), ForeignKeyConstraint(**_TO_RUN), _CLUSTERED)

    run_seq: int = _run_key()
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)
    typed: bool = Field(default=False, sa_type=Boolean)


class MetricRow(Row, table=True):
    """One measurement. NaN is 0 with `is_nan`, for no key holds NULL; `logged_at` is microseconds since 1970.

    The same measurement sent twice, by a client that did not hear the first answer, is one row.
    """

    __tablename__ = "metric"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(**_TO_RUN), _CLUSTERED)

    run_seq: int = _run_key()
    key: str = Field(primary_key=True, sa_type=CleanText)
    step: int = _large(primary_key=True)
    logged_at: int = _large(primary_key=True)
    value: float = Field(primary_key=True, sa_type=Double)
    is_nan: bool = Field(primary_key=True, sa_type=Boolean)


class LatestMetricRow(Row, table=True):
    """The measurement of a metric with the highest step; of several the newest, then the largest."""

    __tablename__ = "metric_latest"
    __table_args__: ClassVar[Any] = (Index(None, "key", "value", "is_nan"), ForeignKeyConstraint(**_TO_RUN), _CLUSTERED)

    run_seq: int = _run_key()
    key: str = Field(primary_key=True, sa_type=CleanText)
    step: int = _large()
    logged_at: int = _large()
    value: float = Field(sa_type=Double)
    is_nan: bool = Field(sa_type=Boolean)


class DatasetRow(Row, table=True):
    """A data set that runs of an experiment read, as MLflow's client describes it."""

    __tablename__ = "dataset"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("experiment_id", "name", "digest"),
        ForeignKeyConstraint(["experiment_id"], ["experiment.id"], ondelete="CASCADE"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    experiment_id: int = Field(sa_type=Sequence)
    name: str = Field(sa_type=CleanText)
    digest: str = Field(sa_type=CleanText)
    source_type: str = Field(sa_type=CleanText)
    source: str = Field(sa_type=CleanText)
    columns: str | None = Field(default=None, sa_type=CleanText)
    profile: str | None = Field(default=None, sa_type=CleanText)


class DatasetInputRow(Row, table=True):
    """A run read a data set."""

    __tablename__ = "dataset_input"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(**_TO_RUN),
        ForeignKeyConstraint(["dataset_id"], ["dataset.id"], ondelete="CASCADE"),
        _CLUSTERED,
    )

    run_seq: int = _run_key()
    dataset_id: int = Field(primary_key=True, index=True, sa_type=Sequence, sa_column_kwargs={"autoincrement": False})
    tags: dict[str, str] = Field(sa_type=Json)
    context: str | None = Field(default=None, sa_type=CleanText)


class RunModelRow(Row, table=True):
    """A run read or wrote a logged model."""

    __tablename__ = "run_model"
    __table_args__: ClassVar[Any] = (Index(None, "model_id"), ForeignKeyConstraint(**_TO_RUN), _CLUSTERED)

    run_seq: int = _run_key()
    role: str = Field(primary_key=True, sa_type=CleanText)
    model_id: str = Field(primary_key=True, sa_type=CleanText)
    step: int = _large(primary_key=True)
