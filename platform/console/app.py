"""The application: routers of every layer below one middleware that finds the workspace."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from ..core import RaylakeError, Workspace
from .api import lineage, mlflow
from .context import WORKSPACE
from .problem import problem_response


def create_app(ws: Workspace) -> FastAPI:
    """The console of a workspace as an ASGI application.

    Args:
        ws: The workspace that requests are about.

    Example:
        >>> import tempfile
        >>> app = create_app(Workspace.open(tempfile.mkdtemp()))
        >>> app.title
        'raylake'
    """
    app = FastAPI(title="raylake")
    app.add_exception_handler(RaylakeError, problem_response)
    app.include_router(lineage.router)
    app.router.routes.extend(mlflow.routes())
    app.add_middleware(_WorkspaceMiddleware, ws=ws)
    return app


class _WorkspaceMiddleware:
    """Puts the workspace into the scope of every request."""

    def __init__(self, app: ASGIApp, ws: Workspace) -> None:
        self._app = app
        self._ws = ws

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[WORKSPACE] = self._ws
        await self._app(scope, receive, send)
