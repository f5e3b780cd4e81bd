"""What the tests of the server share: every route of the application, callers with roles, a picture of the registry."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import text
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from raylake import registry
from raylake.console import Policy, create_app
from raylake.core import Workspace
from raylake.registry import access, schema
from raylake.registry.engine import raw_engine

LOCKED = Policy(authentication=True)
PLACEHOLDER = re.compile(r"\{(\w+)(?::\w+)?\}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Addresses that other servers of this kind have, and once forgot to guard.
GUESSED = (
    *("/", "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/health", "/version", "/metrics", "/graphql"),
    *("/static/x.js", "/static-files/x.js", "/favicon.ico", "/get-artifact", "/model-versions/get-artifact", "/signup"),
    *("/api/2.0/mlflow/users/create", "/api/2.0/mlflow/gateway-proxy", "/ajax-api/2.0/mlflow/upload-artifact"),
    *("/api/3.0/mlflow/jobs", "/ajax-api/3.0/jobs/search", "/v1/traces", "/api/2.0/mlflow-artifacts/artifacts/x"),
    *("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info", "/w/default/openapi.json", "/w/none/x"),
    *("//openapi.json", "/./openapi.json", "/x/../openapi.json", "/openapi.json/", "/%6fpenapi.json", "/OPENAPI.JSON"),
)


def every_route(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route, whoever added it."""
    for found in iter_route_contexts(app.routes):
        route = found.original_route
        path = getattr(found, "path", None) or getattr(route, "path", "")
        if isinstance(route, Mount):
            yield from ((method, f"{path}/x") for method in METHODS)
        elif isinstance(route, Route) or hasattr(route, "methods"):
            yield from ((method, path) for method in sorted(route.methods or METHODS))
        else:
            raise AssertionError(f"{route!r} is no kind of route that this test knows")


def filled(path: str, value: str = "x") -> str:
    """The path with a value for each placeholder."""
    return PLACEHOLDER.sub(lambda _: value, path)


def bearer(ws: Workspace, role: str, **options: Any) -> dict[str, str]:
    """Headers of a caller with a new token."""
    return {"authorization": f"Bearer {access.create_token(ws, role, role=role, **options).secret}"}


def locked_client(ws: Workspace, **options: Any) -> TestClient:
    """A client of a server that asks for tokens; defects of the server are answers, as they are for real clients."""
    return TestClient(create_app(ws, policy=LOCKED), raise_server_exceptions=False, **options)


def add_route(client: TestClient, path: str, answer: Callable[[Request], Any], method: str = "POST") -> None:
    """One more route, as the other layers add theirs."""
    client.app.router.routes.append(Route(path, answer, methods=[method]))  # type: ignore[attr-defined]


def picture(ws: Workspace) -> dict[str, list[str]]:
    """Every row of every table, but for what reading may change: when tokens were last used."""
    registry.schema_version(ws) or registry.migrate_schema(ws)
    found = {}
    with raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        for name, table in schema.MAPPERS.metadata.tables.items():
            columns = ", ".join(f'"{each.name}"' for each in table.columns if each.name != "last_used_at")
            found[name] = sorted(map(repr, connection.execute(text(f'SELECT {columns} FROM "{name}"')).all()))
    return found
