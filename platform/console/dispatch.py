"""Answers fixed paths in one look-up; a list of a hundred routes costs more than answering the request."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isfunction
from typing import Any

from starlette._utils import get_route_path
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class FixedPaths:
    """Stands between the door and the rest, and hands plain routes whose path holds no parameter their requests.

    Everything else (parameters, other methods, FastAPI's own routes) goes on to `app`. A fixed path wins over one
    with parameters, wherever they stand. The table is made at the first request. What answers as an ASGI application
    is called at once and handles its own errors; functions get the application's handlers.

    Args:
        app: What answers the rest.
        router: The router whose routes are looked up.
        handlers: What answers the errors of functions, by class.

    Example:
        >>> import asyncio
        >>> from starlette.responses import Response
        >>> router = Router([Route(path, lambda request: Response()) for path in ("/{x}", "/a")])
        >>> table = FixedPaths(router, router, {})
        >>> [table.find({"method": "GET", "path": path}) is not None for path in ("/a", "/b")]
        [True, False]
    """

    def __init__(self, app: ASGIApp, router: Router, handlers: Mapping[Any, Any]) -> None:
        self._app = app
        self._router = router
        self._handlers = handlers
        self._table: dict[tuple[str, str], ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request over."""
        answer = self.find(scope) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    def find(self, scope: Scope) -> ASGIApp | None:
        """What answers the scope's method and path, when the table has them."""
        if not self._table:
            self._table = self._made()
        return self._table.get((scope["method"], get_route_path(scope)))

    def _made(self) -> dict[tuple[str, str], ASGIApp]:
        found: dict[tuple[str, str], ASGIApp] = {}
        for route in self._router.routes:
            # Exactly this class: FastAPI's kinds need more than their endpoint.
            if type(route) is Route and not route.param_convertors:
                wrapped = isfunction(route.endpoint)
                answer: ASGIApp = ExceptionMiddleware(route.app, self._handlers) if wrapped else route.app
                for method in route.methods or ():
                    found.setdefault((method, route.path), answer)
        return found
