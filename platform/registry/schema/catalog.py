"""Tables and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..columns import CleanText, Json
from .base import Row


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
