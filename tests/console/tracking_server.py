"""The console on a free port of loopback, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvicorn

from raylake import registry
from raylake.console import create_app
from raylake.core import Workspace


@contextmanager
def serving(ws: Workspace | Mapping[str, Workspace]) -> Iterator[str]:
    """The console of a workspace, or of several by name; gives its URL."""
    for each in [ws] if isinstance(ws, Workspace) else ws.values():
        registry.migrate_schema(each)  # Alembic serves one database of a process at a time: MLflow's stores use it too
    config = uvicorn.Config(create_app(ws), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
