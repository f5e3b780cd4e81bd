"""The workspaces of the server, as MLflow's client asks for them.

They are declared when the server starts, so they can be listed and not made or deleted here.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...core import NotFound, RaylakeError
from ..context import CALLER, current_workspace
from ..places import Places
from .mlflow.endpoint import PREFIXES
from .mlflow.errors import failure

_PATH = "/3.0/mlflow/workspaces"


def routes() -> list[Route]:
    """Routes that list the workspaces and describe one."""
    return [
        Route(f"{prefix}{path}", answer, methods=["GET"], include_in_schema=False)
        for prefix in PREFIXES
        for path, answer in ((_PATH, _list), (_PATH + "/{name}", _get))
    ]


async def _list(request: Request) -> Any:
    return JSONResponse({"workspaces": [_described(name) for name in _visible(request)]})


async def _get(request: Request) -> Any:
    name = request.path_params["name"]
    try:
        if name not in _visible(request):
            raise NotFound(f"there is no workspace {name!r:.200} on this server")
    except RaylakeError as error:
        return failure(error)
    return JSONResponse({"workspace": _described(name)})


def _visible(request: Request) -> list[str]:
    """All names for a caller without token; who has one sees the workspace that it is valid in."""
    places: Places = request.app.state.places
    ws = current_workspace(request)
    trusted = not request.scope[CALLER].token_id
    return [name for name, each in places.workspaces.items() if trusted or each == ws]


def _described(name: str) -> dict[str, str]:
    return {"name": name, "description": ""}
