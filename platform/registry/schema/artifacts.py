"""The artifact tree: folders of names, each a file's digest or a folder."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..columns import CleanText
from .base import Row


class ArtifactEntryRow(Row, table=True):
    """One name in a folder of the tree; a folder has no digest."""

    __tablename__ = "artifact_entry"

    folder: str = Field(primary_key=True, sa_type=CleanText)
    name: str = Field(primary_key=True, sa_type=CleanText)
    digest: str | None = Field(default=None, index=True, sa_type=CleanText)
    size: int = Field(sa_type=BigInteger)
    created_at: datetime
