"""Which workspace a request is about."""

from __future__ import annotations

from starlette.requests import Request

from ..core import Workspace

WORKSPACE = "raylake.workspace"  # key in the ASGI scope


def current_workspace(request: Request) -> Workspace:
    """The workspace that the middleware found for this request."""
    found: Workspace = request.scope[WORKSPACE]
    return found
