"""A small HTTP API on loopback with every style of paging, authentication and trouble; for the tests of `Http`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

SIZE = 3


@dataclass
class Api:
    """What the server holds and what it was asked."""

    records: list[dict[str, Any]] = field(default_factory=list)
    trouble: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[Any, dict[str, str]]:
        rows = [row for row in self.records if str(row["id"]).zfill(9) >= query.get("since", "").zfill(9)]
        at = int(query.get("offset", 0)) or (int(query.get("page", 1)) - 1) * SIZE or int(query.get("token", 0))
        page = rows[at : at + SIZE]
        follow = at + SIZE if at + SIZE < len(rows) else None
        link = None if follow is None else f"{path}?{urlencode({**query, 'offset': follow})}"
        styles: dict[str, Callable[[], tuple[Any, dict[str, str]]]] = {
            "/plain": lambda: (rows, {}),
            "/page": lambda: (page, {}),
            "/offset": lambda: ({"data": {"items": page}}, {}),
            "/token": lambda: ({"items": page, "meta": {"next": follow}}, {}),
            "/next": lambda: ({"items": page, "next": link}, {}),
            "/link": lambda: (page, {"Link": f'<{link}>; rel="next"'} if link else {}),
            "/circle": lambda: ({"items": page or [{"id": 0}], "next": "/circle"}, {}),
            "/away": lambda: ({"items": page, "next": "http://example.org/x"}, {}),
            "/object": lambda: ({"items": {"a": 1}}, {}),
        }
        return styles[path]()


def serve(api: Api) -> ThreadingHTTPServer:
    """Start the server in a thread; `shutdown()` it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            api.asked.append(self.path)
            api.headers.append({key.lower(): value for key, value in self.headers.items()})
            if api.trouble:
                status, headers = api.trouble.pop(0)
                self._send(status, b"trouble", headers)
                return
            if parts.path == "/html":
                self._send(200, b"<html>hello</html>", {})
                return
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            try:
                body, headers = api.answer(parts.path, query)
            except KeyError:
                self._send(404, b"nothing here", {})
                return
            self._send(200, json.dumps(body).encode(), headers)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            api.headers.append({key.lower(): value for key, value in self.headers.items()})
            self._send(200, b'{"access_token": "fresh", "expires_in": 60}', {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
