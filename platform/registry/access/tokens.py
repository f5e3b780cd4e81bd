"""API tokens: made, checked, revoked.

A token's text is ``rl_<id>_<secret>``: an id of 64 bits to look it up by, and a secret of 256 random bits. Only
the SHA-256 digest of the whole text is stored. A fast hash is right here: nobody can guess 256 bits, unlike a
password that a person chose (OWASP, Password Storage Cheat Sheet; there are no passwords in raylake).
"""

from __future__ import annotations

import getpass
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import update
from sqlmodel import Session, col, select

from ...core import DataError, NotAuthenticated, NotFound, Workspace
from ..engine import now, reading, writing
from ..schema import TokenRow
from .log import add_changes
from .records import PERMISSIONS, ROLES, AuditEntry, NewToken, Token

DEFAULT_DAYS = 90.0
LONGEST_DAYS = 36_500.0
_TEXT = re.compile(r"rl_([0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")


def create_token(
    ws: Workspace,
    user: str,
    *,
    role: str = "viewer",
    scopes: Iterable[str] | None = None,
    days: float | None = DEFAULT_DAYS,
    note: str = "",
    by: AuditEntry | None = None,
) -> NewToken:
    """Make a token for a user of this workspace.

    Args:
        ws: The workspace; the token is valid in no other.
        user: Whom it speaks for: letters, digits and ``._@+-``.
        role: ``viewer`` (reads), ``editor`` (reads and changes) or ``admin`` (tokens and the audit log too).
        scopes: Narrows the role: any of ``read``, ``write``, ``admin``. Default: all that the role allows.
        days: Days until it expires, default 90; ``None`` for never.
        note: What it is for.
        by: Who asks, for the audit log; default: the user of this process.

    Raises:
        DataError: User, role, scope or days are not valid.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> create_token(ws, "ann", role="editor", scopes=["read"]).token.scopes
        ('read',)
    """
    allowed = _scopes(role, scopes)
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise DataError(f"user {user!r:.200} is not valid: use 1 to 128 letters, digits and . _ @ + -")
    if days is not None and not 0 < days <= LONGEST_DAYS:
        raise DataError(f"days={days!r} is not valid: use more than 0 and at most {LONGEST_DAYS:g}, or None for never")
    made = now()
    change = by or _local()
    public = secrets.token_hex(8)
    text = f"rl_{public}_{secrets.token_urlsafe(32)}"
    row = TokenRow(
        id=public,
        digest=_digest(text),
        user=user,
        role=role,
        scopes=list(allowed),
        note=note,
        created_by=change.user,
        created_at=made,
        expires_at=None if days is None else made + timedelta(days=days),
    )
    subject = {"token_id": public, "user": user, "role": role, "scopes": list(allowed)}
    with writing(ws) as session:
        session.add(row)
        add_changes(session.connection(), [_done(change, "token.create", subject)])
        session.flush()
        return NewToken(_record(row), text)


def verify(ws: Workspace, secret: str) -> Token:
    """The token whose text this is.

    Args:
        ws: The workspace.
        secret: The text that `create_token` returned.

    Raises:
        NotAuthenticated: It is unknown here, expired or revoked.

    Example:
        >>> import tempfile
        >>> verify(Workspace.open(tempfile.mkdtemp()), "")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotAuthenticated: the token is not one of raylake's: ...
    """
    found = _TEXT.fullmatch(secret)
    if found is None:
        raise NotAuthenticated("the token is not one of raylake's: use the text that `raylake token create` printed")
    with reading(ws) as session:
        row = session.get(TokenRow, found.group(1))
        # Compared even when there is none, so that the time tells nothing.
        same = hmac.compare_digest(row.digest if row else "0" * 64, _digest(secret))
        if row is None or not same:
            raise NotAuthenticated("the token is not known in this workspace: ask an admin for one")
        token = _record(row)
    if (state := token.state()) != "active":
        raise NotAuthenticated(f"the token {token.id} of {token.user} is {state}: ask an admin for a new one")
    return token


def tokens(ws: Workspace, *, user: str | None = None, active: bool = False) -> list[Token]:
    """The tokens of a workspace, newest first, without their secrets.

    Args:
        ws: The workspace.
        user: Only this user's.
        active: Leave out those that are expired or revoked.

    Example:
        >>> import tempfile
        >>> tokens(Workspace.open(tempfile.mkdtemp()))
        []
    """
    query = select(TokenRow).order_by(col(TokenRow.created_at).desc(), col(TokenRow.id))
    if user is not None:
        query = query.where(TokenRow.user == user)
    with reading(ws) as session:
        found = [_record(row) for row in session.exec(query)]
    moment = now()
    return [each for each in found if not active or each.state(moment) == "active"]


def token(ws: Workspace, token_id: str) -> Token:
    """One token by its id.

    Raises:
        NotFound: There is none.

    Example:
        >>> import tempfile
        >>> token(Workspace.open(tempfile.mkdtemp()), "0f")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: there is no token '0f': `raylake token list` shows them
    """
    with reading(ws) as session:
        return _record(_row(session, token_id))


def revoke_token(ws: Workspace, token_id: str, *, by: AuditEntry | None = None) -> Token:
    """Refuse a token from now on; running servers notice within five seconds. Revoking twice changes nothing.

    Args:
        ws: The workspace.
        token_id: The token's id (never its secret).
        by: Who asks, for the audit log; default: the user of this process.

    Raises:
        NotFound: There is no such token.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> revoke_token(ws, create_token(ws, "ann").token.id).state()
        'revoked'
    """
    with writing(ws) as session:
        row = _row(session, token_id)
        if row.revoked_at is None:
            row.revoked_at = now()
            add_changes(
                session.connection(), [_done(by or _local(), "token.revoke", {"token_id": row.id, "user": row.user})]
            )
        session.flush()
        return _record(row)


def mark_used(ws: Workspace, moments: Mapping[str, datetime]) -> None:
    """Record when tokens were last used, by their ids; ids that are unknown are ignored.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_token(ws, "ann")
        >>> mark_used(ws, {made.token.id: made.token.created_at})
        >>> token(ws, made.token.id).last_used_at == made.token.created_at
        True
    """
    with writing(ws) as session:
        for token_id, moment in moments.items():
            session.execute(update(TokenRow).where(col(TokenRow.id) == token_id).values(last_used_at=moment))


def _scopes(role: str, scopes: Iterable[str] | None) -> tuple[str, ...]:
    if role not in ROLES:
        raise DataError(f"role {role!r:.200} is not valid: use one of {', '.join(ROLES)}")
    if scopes is None:
        return ROLES[role]
    wanted = {*scopes}
    if not wanted or not wanted <= {*ROLES[role]}:
        raise DataError(f"scopes {sorted(wanted)} of a {role} are not valid: use some of {', '.join(ROLES[role])}")
    return tuple(each for each in PERMISSIONS if each in wanted)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _local() -> AuditEntry:
    return AuditEntry(getpass.getuser(), "", "local", "", {})


def _done(change: AuditEntry, action: str, subject: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(change.user, change.token, change.address, action, subject, change.status)


def _row(session: Session, token_id: str) -> TokenRow:
    row = session.get(TokenRow, token_id)
    if row is None:
        # A secret given by mistake is not repeated.
        shown = token_id if len(token_id) <= 16 else token_id[:16] + "..."
        raise NotFound(f"there is no token {shown!r}: `raylake token list` shows them")
    return row


def _record(row: TokenRow) -> Token:
    return Token(
        id=row.id,
        user=row.user,
        role=row.role,
        scopes=tuple(row.scopes),
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
