"""Finds the route of a fixed path in one look-up; a list of a hundred routes costs more than answering the request."""

from __future__ import annotations

from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

_CHOSEN = "raylake.route"


class FixedPaths(BaseRoute):
    """Stands first among a router's routes and answers for those plain ones whose path holds no parameter.

    Everything else (parameters, other methods, FastAPI's own routes) is left to the router's list. A fixed path wins
    over one with parameters, wherever they stand. The table is made at the first request.

    Args:
        router: The router whose routes are looked up.

    Example:
        >>> from starlette.responses import Response
        >>> router = Router([Route(path, lambda request: Response()) for path in ("/{x}", "/a")])
        >>> table = FixedPaths(router)
        >>> [table.matches({"type": "http", "method": "GET", "path": path})[0].name for path in ("/a", "/b")]
        ['FULL', 'NONE']
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._table: dict[tuple[str, str], Route] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the table has the path and method."""
        if scope["type"] != "http":
            return Match.NONE, {}
        if not self._table:
            self._table = self._made()
        route = self._table.get((scope["method"], get_route_path(scope)))
        if route is None:
            return Match.NONE, {}
        return Match.FULL, {"endpoint": route.endpoint, "path_params": {}, _CHOSEN: route}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over to the route that was found."""
        await scope[_CHOSEN].app(scope, receive, send)

    def _made(self) -> dict[tuple[str, str], Route]:
        found: dict[tuple[str, str], Route] = {}
        for route in self._router.routes:
            # Exactly this class: FastAPI's kinds need more than their endpoint.
            if type(route) is Route and not route.param_convertors:
                for method in route.methods or ():
                    found.setdefault((method, route.path), route)
        return found
