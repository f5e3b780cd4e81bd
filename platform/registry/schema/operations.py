"""Deployments and drift reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint
from sqlmodel import Field

from ..columns import CleanText, Json, Real, Sequence
from .base import Row


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
