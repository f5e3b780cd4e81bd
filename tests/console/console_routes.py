"""What the tests of the server share: every route of the application, callers with roles, a picture of the registry."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import text
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from raylake import registry
from raylake.console import Listen, Policy, create_app
from raylake.console.server import bind, make_server
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


@contextmanager
def one_loop(client: TestClient) -> Iterator[TestClient]:
    """The client with one event loop for all its requests; it would make one, with a thread, for each."""
    with start_blocking_portal(**client.async_backend) as portal:
        client.portal = portal
        yield client
        client.portal = None


def described(app: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Method, path and the names of the fields of every operation that OpenAPI describes."""
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            schema = content.get("schema", {})
            if "$ref" in schema:
                schema = app.openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            names += list(schema.get("properties", ()))
            yield method.upper(), path, names


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


def raw(app: FastAPI, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request below any client, whose URLs are cleaned before they are sent; give status and body."""
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    path, _, query = target.partition("?")
    head = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(errors="replace"),
        "root_path": "",
        "query_string": query.encode(errors="replace"),
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "headers": head,
    }
    asyncio.run(app(scope, receive, send))
    return told[0]["status"], b"".join(each.get("body", b"") for each in told)


@contextmanager
def running(ws: Workspace, policy: Policy = LOCKED, **routes: Callable[[Request], Any]) -> Iterator[int]:
    """A real server on loopback in a thread of this process, maybe with routes of the test's own; gives its port."""
    app = create_app(ws, policy=policy)
    for path, answer in routes.items():
        app.router.routes.append(Route(path, answer, methods=["POST", "PUT"]))
    bound = bind(Listen(port=0))
    up = threading.Event()
    server = make_server(app, Listen(port=0), lambda url: up.set(), bound)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    assert up.wait(30)
    yield bound.getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join(30)


def picture(ws: Workspace) -> dict[str, list[str]]:
    """Every row of every table, but for what reading may change: when tokens were last used."""
    registry.schema_version(ws) or registry.migrate_schema(ws)
    found = {}
    with raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        for name, table in schema.MAPPERS.metadata.tables.items():
            columns = ", ".join(f'"{each.name}"' for each in table.columns if each.name != "last_used_at")
            found[name] = sorted(map(repr, connection.execute(text(f'SELECT {columns} FROM "{name}"')).all()))
    return found
