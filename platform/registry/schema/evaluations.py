"""What models were found to be worth on frozen sets of rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class EvaluationRow(Row, table=True):
    """One evaluation of a model version on a pinned table."""

    __tablename__ = "evaluation"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
        Index(None, "model", "version"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    model: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    data: str = Field(index=True, sa_type=CleanText)
    task: str = Field(sa_type=CleanText)
    rows: int = Field(sa_type=BigInteger)
    metrics: dict[str, float] = Field(sa_type=Json)
    artifact: str | None = Field(default=None, sa_type=CleanText)
    created_at: datetime
