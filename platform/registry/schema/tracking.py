"""Runs and their metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field

from ..columns import CleanText, Json, Real, Sequence
from .base import Row


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
