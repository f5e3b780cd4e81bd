"""Push over HTTP, durable before the answer, beside a server that syncs each request by itself."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from figures import Figure

from raylake import data
from raylake.core import Workspace

SERVER = """
import os, sys, uvicorn
if sys.argv[3] == "raylake":
    from raylake import data
    from raylake.core import Workspace
    app = data.push_app(Workspace.open(sys.argv[1]), ingest=False)
else:
    import orjson
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
    file = os.open(os.path.join(sys.argv[1], "naive.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    async def post(request):
        body = await request.body()
        orjson.loads(body)
        os.write(file, body)
        os.fdatasync(file)
        return Response(b'{"accepted": 1}', media_type="application/json")
    app = Starlette(routes=[Route("/events/clicks", post, methods=["POST"])])
os.sched_setaffinity(0, {0})
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
"""
CONNECTIONS, REQUESTS, BATCH = 64, 12_000, 100


def run() -> list[Figure]:
    """Single events on 64 connections, then batches of 100; the server has one core."""
    figures = []
    for who in ("raylake", "one fdatasync per request"):
        with tempfile.TemporaryDirectory() as folder:
            ws = Workspace.open(folder)
            source = data.Source("clicks", data.PushLog(""), schema={"id": "string", "n": "int64"}, key=["id"])
            data.save_source(ws, data.push_source(ws, source))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            server = subprocess.Popen([sys.executable, "-c", SERVER, folder, str(port), who])
            try:
                _wait(port)
                for size, requests in ((1, REQUESTS), (BATCH, REQUESTS // BATCH * 4)):
                    before = _processor_seconds(server.pid)
                    rate = asyncio.run(_load(port, size, requests)) * size
                    spent = (_processor_seconds(server.pid) - before) / (requests // CONNECTIONS * CONNECTIONS * size)
                    name = f"push, {size} event{'s' if size > 1 else ''} a request, {CONNECTIONS} connections, one core"
                    figures.append(Figure(name, who, rate, "events/s", "higher"))
                    figures.append(Figure(f"{name}: processor time an event", who, spent * 1e6, "us", "lower"))
            finally:
                server.kill()
                server.wait()
    return figures


def _processor_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


async def _load(port: int, size: int, requests: int) -> float:
    """Requests a second."""
    os.sched_setaffinity(0, {1} if (os.cpu_count() or 1) > 1 else {0})

    async def lane(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in range(requests // CONNECTIONS):
            events = [{"id": f"{size}-{number}-{turn}-{at}", "n": at} for at in range(size)]
            body = orjson.dumps(events if size > 1 else events[0])
            writer.write(b"POST /events/clicks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(lane(number) for number in range(CONNECTIONS)))
    return requests // CONNECTIONS * CONNECTIONS / (time.perf_counter() - started)
