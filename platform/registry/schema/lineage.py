"""The lineage graph."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field

from ..columns import CleanText, Sequence
from .base import Row


class NodeRow(Row, table=True):
    """A vertex of the lineage graph; integers keep the recursive walk small."""

    __tablename__ = "lineage_node"
    __table_args__: ClassVar[Any] = (UniqueConstraint("kind", "name", "version"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    kind: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    version: str = Field(sa_type=CleanText)


class EdgeRow(Row, table=True):
    """One edge: `target` was made from `source`."""

    __tablename__ = "lineage_edge"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("source", "target"),
        ForeignKeyConstraint(["source"], ["lineage_node.id"]),
        ForeignKeyConstraint(["target"], ["lineage_node.id"]),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    source: int = Field(sa_type=Sequence)
    target: int = Field(index=True, sa_type=Sequence)
    created_at: datetime
