"""The application: routers of every layer behind one door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from ..core import RaylakeError, Workspace
from .api import access, features, lineage, mlflow, pipelines, push, studies, workspaces
from .courier import Courier
from .dispatch import FixedPaths
from .doorman import Doorman
from .guard import Guard
from .online import OnlineStores
from .openapi import describe
from .places import Places
from .policy import Policy
from .problem import crash_response, http_response, invalid_response, problem_response
from .trail import Trail

_HANDLERS: dict[Any, Any] = {
    RaylakeError: problem_response,
    RequestValidationError: invalid_response,
    HTTPException: http_response,
}


def create_app(
    ws: Workspace | Mapping[str, Workspace], *, default: str | None = None, policy: Policy | None = None
) -> FastAPI:
    """The console of one or several workspaces as an ASGI application.

    Args:
        ws: The workspace that requests are about, or several by the name in URLs (``/w/NAME/...``).
        default: The name that requests mean which name none; by default the first.
        policy: What is let in; by default callers from loopback need no token, all others do.

    Raises:
        ConfigError: There is no workspace, or none called `default`.
        InvalidName: A workspace's name breaks the naming rule.

    Example:
        >>> import tempfile
        >>> app = create_app(Workspace.open(tempfile.mkdtemp()))
        >>> app.title
        'raylake'
    """
    named = {ws.name: ws} if isinstance(ws, Workspace) else dict(ws)
    places = Places(named, default or next(iter(named), ""))
    policy = policy or Policy()
    doorman, trail, doors, online = Doorman(policy.failures), Trail(), push.PushDoors(), OnlineStores()
    # No pages of documentation: FastAPI's load scripts from another site.
    app = FastAPI(
        title="raylake",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(trail, doors, online, [Courier(each) for each in named.values()]),
    )
    app.router.redirect_slashes = False
    app.state.places, app.state.doorman, app.state.push, app.state.online = places, doorman, doors, online
    for kind, answer in _HANDLERS.items():
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(Exception, crash_response)
    app.include_router(access.router)
    app.include_router(lineage.router)
    app.include_router(pipelines.router)
    app.include_router(push.router)
    app.include_router(studies.router)
    app.include_router(features.router)
    app.router.routes.extend([*workspaces.routes(), *mlflow.routes()])
    _describe(app)
    app.add_middleware(FixedPaths, router=app.router, handlers=_HANDLERS)
    app.add_middleware(Guard, places=places, policy=policy, doorman=doorman, trail=trail)
    if policy.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=policy.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "x-mlflow-workspace"],
        )
    return app


def _lifespan(trail: Trail, doors: push.PushDoors, online: OnlineStores, couriers: list[Courier]) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for courier in couriers:
            courier.start()
        yield
        for courier in couriers:
            courier.stop()
        await asyncio.to_thread(doors.close)
        online.close()
        trail.close()

    return lifespan


def _describe(app: FastAPI) -> None:
    """Add the endpoints that are plain Starlette routes to the application's OpenAPI."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(made(), mlflow.ENDPOINTS)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
