"""Pipelines: versions, runs, their steps, cached results, schedules, pools, deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Double, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class PipelineVersionRow(Row, table=True):
    """One version of a pipeline's definition."""

    __tablename__ = "pipeline_version"
    __table_args__: ClassVar[Any] = (UniqueConstraint("pipeline", "fingerprint"),)

    pipeline: str = Field(primary_key=True, sa_type=CleanText)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    fingerprint: str = Field(sa_type=CleanText)
    graph: list[Any] = Field(sa_type=Json)
    created_at: datetime


class PipelineRunRow(Row, table=True):
    """One run. `token` rises with every driver that takes it over: an earlier one's writes are refused."""

    __tablename__ = "pipeline_run"
    __table_args__: ClassVar[Any] = (
        Index(None, "pipeline", "seq"),
        Index(None, "state", "seq"),
        Index(None, "pipeline", "state", "seq"),
        Index(None, "schedule", "seq"),
        ForeignKeyConstraint(["pipeline", "version"], ["pipeline_version.pipeline", "pipeline_version.number"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    id: str = Field(unique=True, sa_type=CleanText)
    pipeline: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    definition: str = Field(sa_type=CleanText)
    state: str = Field(sa_type=CleanText)
    request: str = Field(default="", sa_type=CleanText)
    params: dict[str, Any] = Field(sa_type=Json)
    event: dict[str, Any] | None = Field(default=None, sa_type=Json)
    dedupe: str | None = Field(default=None, unique=True, sa_type=CleanText)
    schedule: str = Field(default="", sa_type=CleanText)
    due_at: datetime | None = None
    late_at: datetime | None = None
    pool: str = Field(default="default", sa_type=CleanText)
    priority: int = Field(default=0, sa_type=BigInteger)
    fair_group: str = Field(default="", sa_type=CleanText)
    concurrency: int | None = Field(default=None, sa_type=BigInteger)
    owner: str = Field(default="", sa_type=CleanText)
    token: int = Field(default=0, sa_type=BigInteger)
    lease_until: datetime | None = None
    drives: int = Field(default=0, sa_type=BigInteger)
    error: str = Field(default="", sa_type=CleanText)
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


class PipelineStepRow(Row, table=True):
    """One step of a run, or one item of a mapped step."""

    __tablename__ = "pipeline_step"
    __table_args__: ClassVar[Any] = (ForeignKeyConstraint(["run_seq"], ["pipeline_run.seq"], ondelete="CASCADE"),)

    run_seq: int = Field(primary_key=True, sa_type=Sequence, sa_column_kwargs={"autoincrement": False})
    key: str = Field(primary_key=True, sa_type=CleanText)
    state: str = Field(sa_type=CleanText)
    attempt: int = Field(sa_type=BigInteger)
    failures: int = Field(sa_type=BigInteger)
    crashes: int = Field(sa_type=BigInteger)
    generation: int = Field(sa_type=BigInteger)
    width: int | None = Field(default=None, sa_type=BigInteger)
    output: str | None = Field(default=None, sa_type=CleanText)
    inputs: dict[str, str] = Field(sa_type=Json)
    reads: list[str] = Field(sa_type=Json)
    writes: list[str] = Field(sa_type=Json)
    error: str = Field(sa_type=CleanText)
    attempts: list[Any] = Field(sa_type=Json)
    started_at: datetime | None = None
    ended_at: datetime | None = None


class PipelineCacheRow(Row, table=True):
    """The result of a step for one combination of code and inputs."""

    __tablename__ = "pipeline_cache"

    key: str = Field(primary_key=True, sa_type=CleanText)
    output: str = Field(sa_type=CleanText)
    run_id: str = Field(sa_type=CleanText)
    step: str = Field(sa_type=CleanText)
    created_at: datetime


class PipelineScheduleRow(Row, table=True):
    """When a pipeline runs by itself."""

    __tablename__ = "pipeline_schedule"

    name: str = Field(primary_key=True, sa_type=CleanText)
    pipeline: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    definition: str = Field(sa_type=CleanText)
    trigger: dict[str, Any] = Field(sa_type=Json)
    params: dict[str, Any] = Field(sa_type=Json)
    overlap: str = Field(sa_type=CleanText)
    missed: str = Field(sa_type=CleanText)
    pool: str = Field(sa_type=CleanText)
    priority: int = Field(sa_type=BigInteger)
    concurrency: int | None = Field(default=None, sa_type=BigInteger)
    late_after: float | None = Field(default=None, sa_type=Double, nullable=True)
    enabled: bool
    next_due: datetime | None = Field(default=None, index=True)
    memory: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime


class PipelinePoolRow(Row, table=True):
    """How many runs of a pool may be active at once."""

    __tablename__ = "pipeline_pool"

    name: str = Field(primary_key=True, sa_type=CleanText)
    slots: int = Field(sa_type=BigInteger)


class PipelineDeliveryRow(Row, table=True):
    """One notification on its way."""

    __tablename__ = "pipeline_delivery"
    __table_args__: ClassVar[Any] = (
        Index(None, "state", "next_at"),
        Index(None, "run_id"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    run_id: str = Field(sa_type=CleanText)
    occasion: str = Field(sa_type=CleanText)
    channel: dict[str, Any] = Field(sa_type=Json)
    body: dict[str, Any] = Field(sa_type=Json)
    state: str = Field(sa_type=CleanText)
    attempts: list[Any] = Field(sa_type=Json)
    next_at: datetime
    created_at: datetime
