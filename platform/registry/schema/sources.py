"""Sources that were configured at run time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..columns import CleanText, Json
from .base import Row


class SourceRow(Row, table=True):
    """A source's definition, and how its last run went."""

    __tablename__ = "source"

    name: str = Field(primary_key=True, sa_type=CleanText)
    definition: dict[str, Any] = Field(sa_type=Json)
    status: str = Field(sa_type=CleanText)
    revision: int = Field(sa_type=BigInteger)
    error: str = Field(sa_type=CleanText)
    last_run_at: datetime | None = None
    created_at: datetime
    changed_at: datetime
