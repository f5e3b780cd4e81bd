"""Webhooks and their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKeyConstraint, Index, Integer
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class WebhookRow(Row, table=True):
    """Who wants to hear of which events."""

    __tablename__ = "webhook"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    url: str = Field(sa_type=CleanText)
    events: list[str] = Field(sa_type=Json)
    description: str = Field(sa_type=CleanText)
    secret: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    created_at: datetime
    updated_at: datetime


class WebhookDeliveryRow(Row, table=True):
    """One message to one webhook: written with the change that it tells of, sent afterwards."""

    __tablename__ = "webhook_delivery"
    __table_args__: ClassVar[Any] = (
        Index(None, "status", "due_at"),
        ForeignKeyConstraint(["webhook"], ["webhook.seq"], ondelete="CASCADE"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    webhook: int = Field(index=True, sa_type=Sequence)
    event: str = Field(sa_type=CleanText)
    payload: dict[str, Any] = Field(sa_type=Json)
    status: str = Field(sa_type=CleanText)
    attempts: int = Field(default=0, sa_type=Integer)
    response_status: int | None = Field(default=None, sa_type=Integer)
    error: str = Field(default="", sa_type=CleanText)
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None = None
