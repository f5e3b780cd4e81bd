"""The HTTP face of push: an ASGI application for uvicorn, the console or Ray Serve."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ... import registry
from ...core import (
    InvalidName,
    InvalidRequest,
    NotFound,
    Overloaded,
    RaylakeError,
    StorageError,
    Workspace,
    WorkspaceBusy,
)
from ..definitions import source_from_plain
from ..ingest import last_facts
from ..streaming.loop import SourceLoop
from .inbox import Inbox
from .log_reader import PushLog

LARGEST_BODY = 8 * 1024 * 1024
_FRESH_SECONDS = 1.0


def push_app(ws: Workspace, *, ingest: bool = True) -> Starlette:
    """An ASGI application that takes events for every configured source whose connector is a `PushLog`.

    ``POST /events/{source}`` takes a JSON object, an array of objects, or one per line (``application/x-ndjson``), and
    answers ``{"accepted": n, "duplicates": m}`` when all of them are on the disk. The header ``Idempotency-Key`` makes
    a request repeatable when events have no key of their own. 422: an event does not fit (``field`` and ``row`` name
    where); 400: no JSON; 404: unknown source; 413: above 8 MiB; 429: too much waits, with ``Retry-After``;
    503: paused, or the disk failed.

    Args:
        ws: The workspace.
        ingest: Whether this process also brings the events into their tables, in a thread per source. Otherwise
            `supervise` does, on this machine.

    Example:
        >>> import tempfile
        >>> from starlette.testclient import TestClient
        >>> with TestClient(push_app(Workspace.open(tempfile.mkdtemp()))) as client:
        ...     client.post("/events/clicks", json={"id": 1}).json()["error"]
        "source 'clicks' is not configured; sources: none"
    """
    door = PushDoor(ws, ingest=ingest)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(door.close)

    return Starlette(routes=[Route("/events/{source}", door.answer, methods=["POST"])], lifespan=lifespan)


class PushDoor:
    """The inboxes of a process, opened at their first event, opened anew when their source changes.

    `answer` is what `push_app` does at ``POST /events/{source}``, for applications that bring a route of their own.

    Args:
        ws: The workspace.
        ingest: As for `push_app`.

    Example:
        >>> import tempfile
        >>> PushDoor(Workspace.open(tempfile.mkdtemp())).close()
    """

    def __init__(self, ws: Workspace, *, ingest: bool = True) -> None:
        self._ws = ws
        self._ingest = ingest
        self._open: dict[str, tuple[int, float, Inbox]] = {}
        self._loops: dict[str, tuple[SourceLoop, threading.Thread]] = {}
        self._lock = threading.Lock()

    async def answer(self, request: Request) -> Response:
        """Take the events of a request whose path names the `source`; see `push_app`."""
        try:
            name = request.path_params["source"]
            inbox = self.find(name)
            if inbox is None:
                inbox = await asyncio.to_thread(self.open, name)
            events = _events(await _body(request), request.headers.get("content-type", ""))
            accepted = await asyncio.wrap_future(
                inbox.accept(events, request_id=request.headers.get("idempotency-key"))
            )
        except RaylakeError as error:
            return _refusal(error)
        return _json(200, {"accepted": accepted.accepted, "duplicates": accepted.duplicates})

    def find(self, name: str) -> Inbox | None:
        """The inbox, unless it is time to look whether its source changed."""
        revision, until, inbox = self._open.get(name, (0, 0.0, None))
        return inbox if time.monotonic() < until and revision else None

    def open(self, name: str) -> Inbox:
        """The inbox of a source as it is configured now."""
        with self._lock:
            record = registry.source_record(self._ws, name)
            if record.status != "active":
                raise StorageError(f"source {name!r} is {record.status}: send again when it was resumed")
            revision, _, inbox = self._open.get(name, (0, 0.0, None))
            if inbox is None or revision != record.revision:
                source = source_from_plain(record.definition)
                if not isinstance(source.connector, PushLog):
                    raise NotFound(
                        f"source {name!r} takes no events: its connector is {type(source.connector).__name__}"
                    )
                if inbox is not None:
                    inbox.close()
                    del self._open[name]
                inbox = Inbox(source)
            assert isinstance(inbox.source.connector, PushLog)
            inbox.backlog_bytes = inbox.source.connector.backlog_bytes(last_facts(self._ws, inbox.source).get("cursor"))
            self._open[name] = (record.revision, time.monotonic() + _FRESH_SECONDS, inbox)
            if self._ingest and name not in self._loops:
                loop = SourceLoop(self._ws, name)
                thread = threading.Thread(target=loop.run, name=f"push-{name}", daemon=True)
                self._loops[name] = (loop, thread)
                thread.start()
            return inbox

    def close(self) -> None:
        """End the threads, then the logs."""
        for loop, _ in self._loops.values():
            loop.stop()
        for _, thread in self._loops.values():
            thread.join()
        for _, _, inbox in self._open.values():
            inbox.close()


class _TooLarge(InvalidRequest):
    """A body beyond the limit."""


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for block in request.stream():
            body += block
            if len(body) > LARGEST_BODY:
                raise _TooLarge(f"the request has more than {LARGEST_BODY} bytes: send fewer events at once")
    except ClientDisconnect as error:
        raise InvalidRequest("the request ended before its body was complete: nothing was accepted") from error
    return bytes(body)


def _events(body: bytes, content_type: str) -> list[Any]:
    try:
        if content_type.startswith(("application/x-ndjson", "application/jsonl")):
            return [orjson.loads(line) for line in body.splitlines() if line.strip()]
        whole = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}. Send an object, or an array of objects") from error
    return whole if isinstance(whole, list) else [whole]


def _refusal(error: RaylakeError) -> Response:
    body: dict[str, Any] = {"error": str(error)}
    headers = {}
    if isinstance(error, InvalidRequest):
        body |= {"field": error.field, "row": error.row}
        status = 413 if isinstance(error, _TooLarge) else 422 if error.row is not None else 400
    elif isinstance(error, Overloaded):
        status, headers = 429, {"Retry-After": str(error.seconds)}
    elif isinstance(error, NotFound | InvalidName):
        status = 404
    else:
        status = 503 if isinstance(error, StorageError | WorkspaceBusy) else 500
    return _json(status, body, headers)


def _json(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
