"""A keep-alive HTTP client that costs little itself: the same for every contender of a benchmark."""

from __future__ import annotations

import asyncio
import statistics
import time
from urllib.parse import urlsplit

from figures import Figure

SECONDS, REPEAT = 3.0, 3


def latency(workload: str, who: str, url: str, body: bytes) -> Figure:
    """Median time from sending a POST to the last byte of its answer, one request at a time."""
    taken = [1e6 * statistics.median(post(url, body, connections=1)) for _ in range(1 + REPEAT)][1:]
    return Figure(workload, who, statistics.median(taken), "us", "lower", max(taken) / min(taken))


def throughput(workload: str, who: str, url: str, body: bytes, connections: int) -> Figure:
    """Answered POSTs per second on some connections at once."""
    found = [len(post(url, body, connections=connections)) / SECONDS for _ in range(1 + REPEAT)][1:]
    return Figure(workload, who, statistics.median(found), "requests/s", "higher", max(found) / min(found))


def post(url: str, body: bytes, *, connections: int, seconds: float = SECONDS) -> list[float]:
    """Post `body` again and again for some seconds; the seconds that each answer took. An answer but 200 raises."""
    return asyncio.run(_post(url, body, connections, seconds))


async def _post(url: str, body: bytes, connections: int, seconds: float) -> list[float]:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    end = time.perf_counter() + seconds
    rounds = (_connection(str(parts.hostname), int(parts.port or 80), request, end) for _ in range(connections))
    return [taken for one in await asyncio.gather(*rounds) for taken in one]


async def _connection(host: str, port: int, request: bytes, end: float) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    taken = []
    while (start := time.perf_counter()) < end:
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            # A server may close a kept connection between requests (RFC 9112, 9.3).
            reader, writer = await asyncio.open_connection(host, port)
            continue
        answer = await reader.readexactly(_length(head))
        taken.append(time.perf_counter() - start)
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {head.decode(errors='replace')}{answer.decode(errors='replace')}")
    writer.close()
    return taken


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise SystemExit(f"an answer without Content-Length: {head.decode(errors='replace')}")
