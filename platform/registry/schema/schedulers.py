"""Schedulers of pipelines: that they turn."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Double
from sqlmodel import Field

from ..columns import CleanText
from .base import Row


class SchedulerRow(Row, table=True):
    """One scheduler process, as it last told of itself."""

    __tablename__ = "pipeline_scheduler"

    owner: str = Field(primary_key=True, sa_type=CleanText)
    started_at: datetime
    seen_at: datetime
    period: float = Field(sa_type=Double)
    turns: int = Field(sa_type=BigInteger)
    busy: float = Field(sa_type=Double)
    error: str = Field(sa_type=CleanText)
