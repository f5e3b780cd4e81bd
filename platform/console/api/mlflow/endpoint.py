"""An endpoint as a value: what it takes, what answers it; and the routes made of them.

The routes are plain Starlette: no pydantic work per request. The same values describe the endpoints in OpenAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, cast

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ....core import RaylakeError, Workspace
from ...context import current_workspace
from .errors import failure, invalid_parameter
from .fields import Field, checked

Message = Mapping[str, Any]
Handler = Callable[[Workspace, Message], Message] | Callable[[Workspace, Message], Awaitable[Message]]
PREFIXES = ("/api", "/ajax-api")
_JSON = "application/json"

__all__ = ["Endpoint", "Field", "Handler", "Message", "routes_of"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the protocol.

    Attributes:
        method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path: Path below ``/api``, such as ``/2.0/mlflow/runs/create``.
        handle: Answers a request: workspace and message in, message out. A plain function runs in a thread; a
            coroutine function runs on the event loop and must never wait for the disk.
        fields: What the message may hold. Declared fields arrive with their type (see `Field`), ``null`` as absent.
    """

    method: str
    path: str
    handle: Handler
    fields: tuple[Field, ...] = ()


def routes_of(endpoints: Iterable[Endpoint]) -> list[Route]:
    """Starlette routes of the endpoints, below each of the prefixes that MLflow's clients use."""
    every = [*endpoints]
    return [
        Route(prefix + each.path, _Responder(each), methods=[each.method], include_in_schema=False)
        for prefix in PREFIXES
        for each in every
    ]


class _Responder:
    """An endpoint as an ASGI application: Starlette wraps a function once more, for each request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._waits = iscoroutinefunction(endpoint.handle)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except RaylakeError as error:
            response = failure(error)
        else:
            response = Response(orjson.dumps(answer), media_type=_JSON)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Message:
        message = await _message(self._endpoint, request)
        handle, ws = self._endpoint.handle, current_workspace(request)
        if self._waits:
            return await cast(Awaitable[Message], handle(ws, message))
        return cast(Message, await run_in_threadpool(handle, ws, message))


async def _message(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    if endpoint.method == "GET":
        found = _query(endpoint, request)
    else:
        _check_type(request)
        found = _body(await request.body())
    found.update(request.path_params)
    return checked(endpoint.fields, found)


def _query(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    kinds = {field.name: field.kind for field in endpoint.fields}
    found: dict[str, Any] = {}
    for key, value in request.query_params.multi_items():
        if kinds.get(key) == "array":
            found.setdefault(key, []).append(value)
        else:
            found[key] = value
    return found


def _check_type(request: Request) -> None:
    # Also keeps pages of other sites out: a browser asks before it sends JSON across sites.
    if request.method not in ("POST", "PUT"):
        return
    given = request.headers.get("content-type")
    if given is None:
        raise invalid_parameter("Bad Request. Content-Type header is missing.")
    if given.partition(";")[0].strip() != _JSON:
        raise invalid_parameter(f"Bad Request. Content-Type must be one of ['{_JSON}'].")


def _body(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data) if data else {}
        if isinstance(found, str):  # old clients encode twice
            found = orjson.loads(found)
    except orjson.JSONDecodeError as error:
        raise invalid_parameter(f"The request body is not JSON: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise invalid_parameter(f"The request body is a {type(found).__name__}: send a JSON object")
    return found
