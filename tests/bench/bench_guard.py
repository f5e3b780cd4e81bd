"""What the server's door adds to a request with a token: the application with it, the same application without it."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

from figures import Figure, timed
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from raylake.console import Policy, create_app
from raylake.core import Workspace
from raylake.registry.access import create_token

REQUESTS = 5_000
BODY = b'{"run_id": "a1b2", "key": "loss", "value": 0.5, "timestamp": 1, "step": 3}'
PATH = "/bench/runs/log-metric"


async def _answer(request: Request) -> Response:
    await request.body()
    return Response(b"{}", media_type="application/json")


def run() -> list[Figure]:
    """One small POST, in process: no sockets, so that only the application is measured."""
    ws = Workspace.open(tempfile.mkdtemp())
    secret = create_token(ws, "ann", role="editor").secret
    app = create_app(ws, policy=Policy(authentication=True))
    app.router.routes.append(Route(PATH, _answer, methods=["POST"]))
    bare = create_app(ws)
    bare.user_middleware.clear()
    bare.router.routes.append(Route(PATH, _answer, methods=["POST"]))
    work = "one small POST through the application"
    return [
        timed(work, who, lambda served=served: _drive(served, secret), per=REQUESTS, unit="us", repeat=5)
        for who, served in (("raylake", app), ("limit: without the door", bare))
    ]


def _drive(app: Any, secret: str) -> None:
    headers = [
        (b"host", b"127.0.0.1:5000"),
        (b"user-agent", b"mlflow-python-client/3.17"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BODY)).encode()),
        (b"authorization", f"Bearer {secret}".encode()),
    ]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        return None

    async def drive() -> None:
        for _ in range(REQUESTS):
            scope = {
                "type": "http",
                "method": "POST",
                "path": PATH,
                "root_path": "",
                "query_string": b"",
                "scheme": "http",
                "client": ("10.0.0.7", 1),
                "headers": headers,
            }
            await app(scope, receive, send)

    asyncio.run(drive())
