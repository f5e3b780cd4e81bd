"""An endpoint as a value: what it takes, what answers it; and the routes made of them.

The routes are plain Starlette: no pydantic work per request. The same values describe the endpoints in OpenAPI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ....core import RaylakeError, Workspace
from ...context import current_workspace
from .errors import failure, invalid_parameter

Message = Mapping[str, Any]
Handler = Callable[[Workspace, Message], Message]
PREFIXES = ("/api", "/ajax-api")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request.

    Attributes:
        name: Its name in JSON or in the query.
        kind: ``string``, ``integer``, ``number``, ``boolean``, ``array`` or ``object``.
        required: Whether a request without it is refused.
    """

    name: str
    kind: str = "string"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of the protocol.

    Attributes:
        method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
        path: Path below ``/api``, such as ``/2.0/mlflow/runs/create``.
        handle: Answers a request: workspace and message in, message out.
        fields: What the message may hold.
    """

    method: str
    path: str
    handle: Handler
    fields: tuple[Field, ...] = ()


def routes_of(endpoints: Iterable[Endpoint]) -> list[Route]:
    """Starlette routes of the endpoints, below each of the prefixes that MLflow's clients use."""
    return [
        Route(prefix + each.path, _responder(each), methods=[each.method], include_in_schema=False)
        for each in endpoints
        for prefix in PREFIXES
    ]


def _responder(endpoint: Endpoint) -> Callable[[Request], Any]:
    async def respond(request: Request) -> Response:
        try:
            message = await _message(endpoint, request)
            answer = await run_in_threadpool(endpoint.handle, current_workspace(request), message)
        except RaylakeError as error:
            return failure(error)
        return Response(orjson.dumps(answer), media_type="application/json")

    return respond


async def _message(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    if endpoint.method == "GET":
        names = {field.name: field.kind for field in endpoint.fields}
        found: dict[str, Any] = {}
        for key, value in request.query_params.multi_items():
            if names.get(key) == "array":
                found.setdefault(key, []).append(value)
            else:
                found[key] = value
    else:
        found = _body(await request.body())
    found.update(request.path_params)
    for field in endpoint.fields:
        if field.required and field.name not in found:
            raise invalid_parameter(f"Missing value for required parameter '{field.name}'.")
    return found


def _body(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError as error:
        raise invalid_parameter(f"The request body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise invalid_parameter(f"The request body is a {type(found).__name__}: send a JSON object")
    return found
