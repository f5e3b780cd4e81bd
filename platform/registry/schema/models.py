"""Models, their versions and their aliases."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class ModelRow(Row, table=True):
    """A registered model's name."""

    __tablename__ = "model"

    name: str = Field(primary_key=True, sa_type=CleanText)
    created_at: datetime


class ModelVersionRow(Row, table=True):
    """One immutable version of a model."""

    __tablename__ = "model_version"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model"], ["model.name"]),
        ForeignKeyConstraint(["run_id"], ["run.id"]),
        UniqueConstraint("model", "run_id"),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    artifact: str = Field(sa_type=CleanText)
    run_id: str | None = Field(default=None, index=True, sa_type=CleanText)
    metrics: dict[str, float] = Field(sa_type=Json)
    description: str = Field(sa_type=CleanText)
    created_at: datetime


class AliasRow(Row, table=True):
    """Where an alias points now."""

    __tablename__ = "model_alias"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    alias: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)


class AliasMoveRow(Row, table=True):
    """One move of an alias."""

    __tablename__ = "alias_move"
    __table_args__: ClassVar[Any] = (
        Index(None, "model", "alias"),
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    model: str = Field(sa_type=CleanText)
    alias: str = Field(sa_type=CleanText)
    version: int = Field(sa_type=BigInteger)
    created_at: datetime
