"""A small HTTP client for the replay: keep-alive connections, one per thread, and latencies as the client sees them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import orjson

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answered (or failed) request.

    Attributes:
        status: HTTP status, or 0 when no answer came.
        milliseconds: Time from sending to the last byte.
        detail: Body of an answer other than 200, or the connection's error.
    """

    status: int
    milliseconds: float
    detail: str = ""


class ReplayClient:
    """Posts predict requests on a few connections at once."""

    def __init__(self, url: str, connections: int = 4) -> None:
        """Prepare connections to `url` (``http://host:port/path``); nothing is sent yet."""
        parts = urlsplit(url)
        self._host, self._path = parts.netloc, parts.path
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="replay")

    def post_all(self, bodies: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Post the bodies side by side and wait for all answers, in order."""
        return list(self._pool.map(self._post, bodies))

    def close(self) -> None:
        """Let the threads end; connections close with them."""
        self._pool.shutdown(wait=True)

    def _post(self, body: Mapping[str, Any]) -> Answer:
        payload = orjson.dumps(body)
        start = time.perf_counter()
        try:
            status, text = self._send(payload)
        except (HTTPException, OSError) as error:
            return Answer(0, 1e3 * (time.perf_counter() - start), f"{type(error).__name__}: {error}")
        took = 1e3 * (time.perf_counter() - start)
        return Answer(status, took, "" if status == 200 else text.decode(errors="replace")[:300])

    def _send(self, payload: bytes) -> tuple[int, bytes]:
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._exchange(kept, payload)
            except (ConnectionError, HTTPException):
                # The server may close an idle connection at any time (RFC 9112, 9.3); a fresh one decides.
                kept.close()
        fresh = HTTPConnection(self._host, timeout=TIMEOUT_SECONDS)
        self._local.connection = fresh
        return self._exchange(fresh, payload)

    def _exchange(self, connection: HTTPConnection, payload: bytes) -> tuple[int, bytes]:
        connection.request("POST", self._path, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
