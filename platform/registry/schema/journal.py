"""Alerts and events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


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
