"""Definitions of feature views and feature sets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field

from ..columns import CleanText, Json
from .base import Row


class FeatureDefinitionRow(Row, table=True):
    """One version of a view or set; another content is another row, what is said for people changes in place."""

    __tablename__ = "feature_definition"
    __table_args__: ClassVar[Any] = (UniqueConstraint("kind", "name", "digest", name="uq_feature_definition_digest"),)

    kind: str = Field(primary_key=True, sa_type=CleanText)
    name: str = Field(primary_key=True, sa_type=CleanText)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    digest: str = Field(sa_type=CleanText)
    definition: dict[str, Any] = Field(sa_type=Json)
    created_at: datetime
    changed_at: datetime
