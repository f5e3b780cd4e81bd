"""The lineage graph: vertices, edges, columns, and the OpenLineage events that were accepted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class NodeRow(Row, table=True):
    """A vertex of the lineage graph; integers keep the recursive walk small.

    Every thing (kind and name) has a row without a version, which stands for all of them; `thing` of a row with a
    version is the id of that row. So what matches a node is found by two look-ups, however many versions there are.
    """

    __tablename__ = "lineage_node"
    # No foreign key on `thing`: SQLite could then neither add nor drop the column in place.
    __table_args__: ClassVar[Any] = (UniqueConstraint("kind", "name", "version"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    kind: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    version: str = Field(sa_type=CleanText)
    thing: int | None = Field(default=None, index=True, sa_type=Sequence)


class EdgeRow(Row, table=True):
    """One edge: `target` was made from `source`. Both indexes cover a step of the walk."""

    __tablename__ = "lineage_edge"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("source", "target"),
        Index(None, "target", "source"),
        ForeignKeyConstraint(["source"], ["lineage_node.id"]),
        ForeignKeyConstraint(["target"], ["lineage_node.id"]),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    source: int = Field(sa_type=Sequence)
    target: int = Field(sa_type=Sequence)
    created_at: datetime


class ColumnEdgeRow(Row, table=True):
    """One column of `target` that was made from one column of `source`."""

    __tablename__ = "lineage_column"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("source", "source_column", "target", "target_column"),
        Index(None, "target", "target_column"),
        # Who purges a run removes its node: what is known of its columns goes with it.
        ForeignKeyConstraint(["source"], ["lineage_node.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["target"], ["lineage_node.id"], ondelete="CASCADE"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    source: int = Field(sa_type=Sequence)
    source_column: str = Field(sa_type=CleanText)
    target: int = Field(sa_type=Sequence)
    target_column: str = Field(sa_type=CleanText)
    how: str = Field(sa_type=CleanText)
    created_at: datetime


class LineageEventRow(Row, table=True):
    """One accepted OpenLineage event, as it came; the same event posted again is the same row."""

    __tablename__ = "lineage_event"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    digest: str = Field(unique=True, sa_type=CleanText)
    run: str = Field(index=True, sa_type=CleanText)
    job: str = Field(sa_type=CleanText)
    state: str = Field(sa_type=CleanText)
    payload: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime
