"""Tokens and the audit log over HTTP, for admins; and who one is, for everybody."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from ...registry import access
from ...registry.access import AuditEntry, NewToken, Token
from ..context import current_caller, current_workspace

router = APIRouter(prefix="/api/raylake", tags=["access"])
_Id = Annotated[int, Query(ge=0, le=2**63 - 1)]


class Wanted(BaseModel, extra="forbid"):
    """A token that is asked for."""

    user: str
    role: str = "viewer"
    scopes: list[str] | None = None
    days: float | None = Field(default=90.0, description="Days until it expires; null for never")
    note: str = ""


@router.get("/me")
def me(request: Request) -> dict[str, Any]:
    """Who the caller is, and what it may do here."""
    caller = current_caller(request)
    return {"user": caller.user, "token_id": caller.token_id, "permissions": caller.permissions}


@router.get("/tokens")
def list_tokens(request: Request, user: str | None = None, active: bool = False) -> list[Token]:
    """The tokens of the workspace, without their secrets, newest first."""
    return access.tokens(current_workspace(request), user=user, active=active)


@router.post("/tokens", status_code=201)
def create_token(request: Request, wanted: Wanted) -> NewToken:
    """Make a token. Its secret is in the answer and nowhere else."""
    return access.create_token(
        current_workspace(request),
        wanted.user,
        role=wanted.role,
        scopes=wanted.scopes,
        days=wanted.days,
        note=wanted.note,
        by=_by(request),
    )


@router.delete("/tokens/{token_id}")
def revoke_token(request: Request, token_id: str) -> Token:
    """Revoke a token; this server refuses it from now on."""
    revoked = access.revoke_token(current_workspace(request), token_id, by=_by(request))
    request.app.state.doorman.forget()
    return revoked


@router.get("/audit")
def read_audit(
    request: Request,
    user: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    before: _Id | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
) -> list[AuditEntry]:
    """Entries of the audit log, newest first; pass the last id seen as `before` to page on."""
    return access.audit(current_workspace(request), user=user, action=action, since=since, before=before, limit=limit)


def _by(request: Request) -> AuditEntry:
    caller = current_caller(request)
    return AuditEntry(caller.user, caller.token_id, caller.address, "", {}, 200)
