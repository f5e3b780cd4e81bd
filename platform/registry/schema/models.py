"""Models, their versions and their aliases."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class ModelRow(Row, table=True):
    """A registered model's name."""

    __tablename__ = "model"

    name: str = Field(primary_key=True, sa_type=CleanText)
    created_at: datetime
    description: str = Field(default="", sa_type=CleanText, sa_column_kwargs={"server_default": ""})
    updated_at: datetime | None = None
    deleted_at: datetime | None = None


class ModelTagRow(Row, table=True):
    """A label of a model."""

    __tablename__ = "model_tag"
    __table_args__: ClassVar[Any] = (Index(None, "key"), ForeignKeyConstraint(["model"], ["model.name"]))

    model: str = Field(primary_key=True, sa_type=CleanText)
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)


class ModelVersionRow(Row, table=True):
    """One version of a model: what it is made of never changes, what is said about it may.

    The run may have been purged. A deleted version keeps its row, emptied, so that its number is not used again.
    """

    __tablename__ = "model_version"
    __table_args__: ClassVar[Any] = (
        ForeignKeyConstraint(["model"], ["model.name"]),
        Index(None, "model", "run_id"),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    artifact: str = Field(sa_type=CleanText)
    run_id: str | None = Field(default=None, index=True, sa_type=CleanText)
    metrics: dict[str, float] = Field(sa_type=Json)
    description: str = Field(sa_type=CleanText)
    created_at: datetime
    source: str = Field(default="", sa_type=CleanText, sa_column_kwargs={"server_default": ""})
    run_link: str = Field(default="", sa_type=CleanText, sa_column_kwargs={"server_default": ""})
    logged_model: str | None = Field(default=None, sa_type=CleanText)
    stage: str = Field(default="None", sa_type=CleanText, sa_column_kwargs={"server_default": "None"})
    updated_at: datetime | None = None
    deleted_at: datetime | None = None


class ModelVersionTagRow(Row, table=True):
    """A label of a model version."""

    __tablename__ = "model_version_tag"
    __table_args__: ClassVar[Any] = (
        Index(None, "key"),
        ForeignKeyConstraint(["model", "version"], ["model_version.model", "model_version.version"]),
    )

    model: str = Field(primary_key=True, sa_type=CleanText)
    version: int = Field(primary_key=True, sa_type=BigInteger)
    key: str = Field(primary_key=True, sa_type=CleanText)
    value: str = Field(sa_type=CleanText)


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
