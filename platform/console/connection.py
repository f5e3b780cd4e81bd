"""HTTP connections with bounds that uvicorn does not set: on the size of a head, and on the time it may take.

Without them a client that sends one byte a minute holds a connection for ever (slowloris), and headers of any size
are gathered in memory before anybody can refuse them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_FIELDS = 100
HEAD_SECONDS = 20.0


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, with bounds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._left = HEAD_BYTES
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected: its first head has to come in time."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._left = HEAD_BYTES
        if self._deadline is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._spend(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head."""
        self._spend(len(name) + len(value) + 4)
        if len(self.headers) >= HEAD_FIELDS:
            raise ValueError("too many header fields")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_clock()
        super().on_headers_complete()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            # The parser turns it into an error of its own, which uvicorn answers with 400 and a closed connection.
            raise ValueError("the head is too large")

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
