"""Which workspace a request is about, and who sent it."""

from __future__ import annotations

from starlette.requests import Request

from ..core import Workspace
from .doorman import Caller

WORKSPACE = "raylake.workspace"  # keys in the ASGI scope
CALLER = "raylake.caller"


def current_workspace(request: Request) -> Workspace:
    """The workspace that the middleware found for this request."""
    found: Workspace = request.scope[WORKSPACE]
    return found


def current_caller(request: Request) -> Caller:
    """Who sent this request."""
    found: Caller = request.scope[CALLER]
    return found
