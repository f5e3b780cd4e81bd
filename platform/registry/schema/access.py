"""API tokens and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger
from sqlmodel import Field

from ..columns import CleanText, Json, Sequence
from .base import Row


class TokenRow(Row, table=True):
    """An API token. Only the digest of its secret is kept."""

    __tablename__ = "access_token"

    id: str = Field(primary_key=True, sa_type=CleanText)
    digest: str = Field(sa_type=CleanText)
    user: str = Field(index=True, sa_type=CleanText)
    role: str = Field(sa_type=CleanText)
    scopes: list[str] = Field(sa_type=Json)
    note: str = Field(sa_type=CleanText)
    created_by: str = Field(sa_type=CleanText)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class AuditRow(Row, table=True):
    """One change that somebody made. Triggers of the database refuse to update or delete it."""

    __tablename__ = "audit_entry"
    __table_args__: ClassVar[Any] = ({"sqlite_autoincrement": True},)

    seq: int | None = Field(default=None, primary_key=True, sa_type=Sequence)
    user: str = Field(index=True, sa_type=CleanText)
    token: str = Field(sa_type=CleanText)
    address: str = Field(sa_type=CleanText)
    action: str = Field(sa_type=CleanText)
    subject: dict[str, Any] = Field(sa_type=Json)
    status: int = Field(sa_type=BigInteger)
    count: int = Field(sa_type=BigInteger)
    at: datetime = Field(index=True)
