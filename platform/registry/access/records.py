"""Tokens and audit entries as frozen records, and what the roles allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

PERMISSIONS = ("read", "write", "admin")
# What each role allows; a token's scopes can only narrow it.
ROLES: Mapping[str, tuple[str, ...]] = {
    "viewer": ("read",),
    "editor": ("read", "write"),
    "admin": ("read", "write", "admin"),
}


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without its secret.

    Attributes:
        id: The public part; it may stand in logs.
        user: Whom the token speaks for.
        role: ``viewer``, ``editor`` or ``admin``.
        scopes: What it may be used for: ``read``, ``write``, ``admin``; never more than the role allows.
        note: What it is for.
        created_by: Who made it.
        created_at: When.
        expires_at: From when on it is refused; ``None`` for never.
        revoked_at: When it was revoked, or ``None``.
        last_used_at: When it was last used, to about a minute, or ``None``.

    Example:
        >>> now = datetime.now(UTC)
        >>> token = Token("0f", "ann", "editor", ("read",), "", "root", now, None, None, None)
        >>> token.allows("read"), token.allows("write"), token.state()
        (True, False, 'active')
    """

    id: str
    user: str
    role: str
    scopes: tuple[str, ...]
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def allows(self, permission: str) -> bool:
        """Whether role and scopes both allow `permission`."""
        return permission in self.scopes and permission in ROLES.get(self.role, ())

    def state(self, at: datetime | None = None) -> str:
        """``active``, ``expired`` or ``revoked``, now or at another moment."""
        if self.revoked_at is not None:
            return "revoked"
        moment = at or datetime.now(UTC)
        return "expired" if self.expires_at is not None and moment >= self.expires_at else "active"


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made.

    Attributes:
        token: The record.
        secret: What to send as bearer token or as password. It is shown now and never again.

    Example:
        >>> import tempfile
        >>> from raylake.core import Workspace
        >>> from raylake.registry.access import create_token
        >>> made = create_token(Workspace.open(tempfile.mkdtemp()), "ann")
        >>> made.secret.startswith(f"rl_{made.token.id}_"), made.secret in repr(made)
        (True, False)
    """

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, or several alike within a second: who, when, what, from where.

    Attributes:
        user: Who: the token's user; ``anonymous`` on a server without authentication.
        token: Id of the token, or ``""``.
        address: Network address of the caller; ``local`` for the Python API and the command line.
        action: What: ``POST /api/2.0/mlflow/runs/create``, ``token.create``, ...
        subject: What it was done to: names, versions and ids. Never values, secrets or descriptions.
        status: HTTP status of the answer, or 0.
        count: How many requests this entry stands for.
        at: When the (last) change was made.
        id: Its number in the log, rising; 0 before it is recorded.

    Example:
        >>> AuditEntry("ann", "0f", "10.0.0.7", "POST /api/2.0/mlflow/runs/delete", {"run_id": "a1"}, 200).count
        1
    """

    user: str
    token: str
    address: str
    action: str
    subject: Mapping[str, Any]
    status: int = 0
    count: int = 1
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: int = 0
