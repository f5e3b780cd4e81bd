"""What is kept in the online store: definitions of feature views and sets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..columns import CleanText, Json
from .base import Row


class OnlineRow(Row, table=True):
    """A view or set that is online, at one version."""

    __tablename__ = "online"

    kind: str = Field(primary_key=True, sa_type=CleanText)
    name: str = Field(primary_key=True, sa_type=CleanText)
    version: str = Field(primary_key=True, sa_type=CleanText)
    definition: dict[str, Any] = Field(sa_type=Json)
    keep_us: int | None = Field(default=None, sa_type=BigInteger)
    saved_at: datetime
