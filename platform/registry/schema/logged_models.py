"""Models that a run logged, before anybody registers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field

from ..columns import CleanText, Real, Sequence
from .base import Row

_OF_MODEL: Any = {"columns": ["model_id"], "refcolumns": ["logged_model.id"], "ondelete": "CASCADE"}


class LoggedModelRow(Row, table=True):
    """A model that a run logged. Its files lie below its folder in the artifact tree."""

    __tablename__ = "logged_model"
    __table_args__: ClassVar[Any] = (Index(None, "experiment_id", "seq"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    experiment_id: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    model_type: str = Field(sa_type=CleanText)
    run_id: str = Field(index=True, sa_type=CleanText)
    artifact_uri: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class LoggedModelTagRow(Row, table=True):
    """A label of a logged model."""

    __tablename__ = "logged_model_tag"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(**_OF_MODEL),)

    model_id: str = Field(primary_key=True, sa_type=CleanText)
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)


class LoggedModelParamRow(Row, table=True):
    """A parameter of a logged model."""

    __tablename__ = "logged_model_param"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(**_OF_MODEL),)

    model_id: str = Field(primary_key=True, sa_type=CleanText)
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)


class LoggedModelMetricRow(Row, table=True):
    """The latest value of a metric that a run measured of a logged model, by data set."""

    __tablename__ = "logged_model_metric"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(**_OF_MODEL),)

    model_id: str = Field(primary_key=True, sa_type=CleanText)
    key: str = Field(primary_key=True, sa_type=CleanText)
    dataset: str = Field(primary_key=True, sa_type=CleanText)
    dataset_digest: str = Field(primary_key=True, sa_type=CleanText)
    run_id: str = Field(sa_type=CleanText)
    value: float | None = Field(sa_type=Real, nullable=True)
    step: int = Field(sa_type=BigInteger)
    logged_at: int = Field(sa_type=BigInteger)
