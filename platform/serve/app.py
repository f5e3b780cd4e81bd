"""The HTTP face of a replica: a plain ASGI application, without framework in the request path."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from uuid import uuid4

import orjson

from ..core import DataError, InvalidRequest, RaylakeError
from .capture import Answered
from .decoder import Request
from .openapi import docs_page, openapi
from .predictor import Predictor, Scored

MAX_BODY = 16 * 1024 * 1024
PROBE_HEADER = b"x-raylake-probe"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Host(Protocol):
    """What the application asks of its replica."""

    endpoint: str
    sample: float

    @property
    def predictor(self) -> Predictor:
        """The model in place."""
        ...

    def captured(self, answered: Answered) -> None:
        """Take over an answered request."""
        ...

    def observed(self, seconds: float, status: int) -> None:
        """Count an answer."""
        ...

    def describe(self) -> dict[str, Any]:
        """Version, signature and state."""
        ...


class Application:
    """Routes below ``/models/<endpoint>``: ``predict``, ``health``, ``docs``, ``openapi.json`` and the model itself.

    Requests that are ready in the same turn of the event loop are predicted together.
    """

    def __init__(self, host: Host) -> None:
        """Serve `host`; one application per replica."""
        self._host = host
        self._prefix = uuid4().hex[:16]
        self._count = 0
        self._waiting: list[tuple[Predictor, Request, asyncio.Future[Scored]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection event, as ASGI asks."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        status, kind, body = await self._answer(scope, receive)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", kind), (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._host.observed(time.perf_counter() - start, status)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        route = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        try:
            if route == "predict":
                return await self._predict(scope, receive)
            return self._show(scope, route)
        except InvalidRequest as error:
            return problem(422, "invalid_request", str(error), error.field, error.row)
        except DataError as error:
            return problem(422, "invalid_request", str(error))
        except RaylakeError as error:
            return problem(503, "unavailable", str(error))

    async def _predict(self, scope: Scope, receive: Receive) -> tuple[int, bytes, bytes]:
        if scope["method"] != "POST":
            return problem(405, "method_not_allowed", f"predict takes POST, not {scope['method']}")
        received, begin = time.time(), time.perf_counter()
        kind, probe = _headers(scope)
        if kind and not kind.startswith((b"application/json", b"application/x-www-form-urlencoded")):
            return problem(415, "unsupported_media_type", f"send application/json, not {kind.decode(errors='replace')}")
        body = await _body(receive)
        if body is None:
            return problem(413, "too_large", f"the body is larger than {MAX_BODY} bytes: send fewer rows at once")
        predictor = self._host.predictor
        request = predictor.decoder.decode(body)
        scored = await self._submit(predictor, request)
        self._count += 1
        request_id = f"{self._prefix}-{self._count:x}"
        if not probe and (self._host.sample >= 1 or random.random() < self._host.sample):
            took = time.perf_counter() - begin
            self._host.captured(Answered(scored, predictor, request_id, received, took))
        return 200, b"application/json", _encode(predictor, scored, request_id)

    def _submit(self, predictor: Predictor, request: Request) -> asyncio.Future[Scored]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Scored] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run_waiting)
        self._waiting.append((predictor, request, future))
        return future

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        by_predictor: dict[int, list[tuple[Predictor, Request, asyncio.Future[Scored]]]] = {}
        for item in waiting:
            by_predictor.setdefault(id(item[0]), []).append(item)
        for members in by_predictor.values():
            try:
                answers = members[0][0].predict([request for _, request, _ in members])
            except (RaylakeError, ValueError, OSError) as error:
                _settle(members, error)
                continue
            for (_, _, future), scored in zip(members, answers, strict=True):
                if not future.done():
                    future.set_result(scored)

    def _show(self, scope: Scope, route: str) -> tuple[int, bytes, bytes]:
        if route not in ("", "health", "docs", "openapi.json"):
            return problem(404, "not_found", f"there is no {route!r} here: use predict, health, docs or openapi.json")
        if scope["method"] not in ("GET", "HEAD"):
            return problem(405, "method_not_allowed", f"use GET, not {scope['method']}")
        host, predictor = self._host, self._host.predictor
        if route == "":
            return 200, b"application/json", orjson.dumps(host.describe())
        if route == "health":
            predictor.check()
            state = {"status": "healthy", "model": predictor.name, "version": predictor.version}
            return 200, b"application/json", orjson.dumps(state)
        server = _server(scope)
        if route == "docs":
            return 200, b"text/html; charset=utf-8", docs_page(predictor, host.endpoint, server).encode()
        return 200, b"application/json", orjson.dumps(openapi(predictor, host.endpoint, server))


def problem(status: int, code: str, message: str, field: str = "", row: int | None = None) -> tuple[int, bytes, bytes]:
    """An error answer: ``{"error": {"code", "message", "field", "row"}}``."""
    error = {"code": code, "message": message, "field": field or None, "row": row}
    return status, b"application/json", orjson.dumps({"error": error})


def _settle(members: list[tuple[Predictor, Request, asyncio.Future[Scored]]], error: Exception) -> None:
    """Predict one by one after a joint prediction failed, so that one bad request fails alone."""
    for predictor, request, future in members:
        if future.done():
            continue
        if len(members) == 1:
            future.set_exception(_translated(error))
            continue
        try:
            future.set_result(predictor.predict([request])[0])
        except (RaylakeError, ValueError, OSError) as own:
            future.set_exception(_translated(own))


def _translated(error: Exception) -> RaylakeError:
    return error if isinstance(error, RaylakeError) else DataError(f"the model refused these rows: {error}")


def _encode(predictor: Predictor, scored: Scored, request_id: str) -> bytes:
    answer: dict[str, Any] = {
        "predictions": scored.scores.tolist(),
        "model": predictor.name,
        "version": predictor.version,
        "id": request_id,
    }
    if scored.request.features:
        answer["features"] = scored.features.to_pylist()
    return orjson.dumps(answer)


def _headers(scope: Scope) -> tuple[bytes, bool]:
    kind, probe = b"", False
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.lower()
        elif name == PROBE_HEADER:
            probe = True
    return kind, probe


async def _body(receive: Receive) -> bytes | None:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= MAX_BODY else None
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


def _server(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"host":
            return f"{scope.get('scheme', 'http')}://{value.decode(errors='replace')}"
    return ""
