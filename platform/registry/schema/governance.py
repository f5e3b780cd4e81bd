"""What people say of tables and columns."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from ..columns import CleanText, Json
from .base import Row


class TableInfoRow(Row, table=True):
    """Owner, description and tags of a table, whatever its version."""

    __tablename__ = "table_info"

    name: str = Field(primary_key=True, sa_type=CleanText)
    description: str = Field(sa_type=CleanText)
    owner: str = Field(sa_type=CleanText)
    tags: list[str] = Field(sa_type=Json)
    updated_at: datetime


class ColumnInfoRow(Row, table=True):
    """Description, unit, sensitivity and tags of a column; it outlives the column, which may come back."""

    __tablename__ = "column_info"

    table: str = Field(primary_key=True, sa_type=CleanText)
    column: str = Field(primary_key=True, sa_type=CleanText)
    description: str = Field(sa_type=CleanText)
    unit: str = Field(sa_type=CleanText)
    sensitivity: str = Field(sa_type=CleanText)
    tags: list[str] = Field(sa_type=Json)
    updated_at: datetime
