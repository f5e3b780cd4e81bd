"""Push as a Serve application: durable when answered, also when its replica is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from raylake import data, serve
from raylake.core import Workspace


@pytest.fixture
def url(ray_ws: Workspace) -> Iterator[str]:
    source = data.Source("clicks", data.PushLog(""), schema={"id": "string", "n": "int64"}, key=["id"], every="200ms")
    data.save_source(ray_ws, data.push_source(ray_ws, source))
    yield serve.push(ray_ws)
    serve.shutdown(ray_ws)


def _send(url: str, event: dict[str, object]) -> int | None:
    try:
        return httpx.post(url, json=event, timeout=30).status_code
    except httpx.TransportError:
        return None


@pytest.mark.slow
def test_events_survive_the_kill_of_the_replica(ray_ws: Workspace, url: str) -> None:
    assert _send(f"{url}/none", {"id": "a"}) == 404
    answered = {f"e{number}" for number in range(20) if _send(f"{url}/clicks", {"id": f"e{number}", "n": 1}) == 200}
    (replica,) = [each for each in psutil.process_iter(["cmdline"]) if _is_replica(each)]
    os.kill(replica.pid, signal.SIGKILL)
    until = time.monotonic() + 90
    while time.monotonic() < until and _send(f"{url}/clicks", {"id": "last", "n": 2}) != 200:
        time.sleep(0.5)
    wanted = {*answered, "last"}
    assert len(wanted) == 21
    found: list[str] = []
    while time.monotonic() < until and len(found) < len(wanted):
        time.sleep(0.2)
        found = data.table(ray_ws, "clicks")["id"].to_pylist() if data.exists(ray_ws, "clicks") else []
    assert sorted(found) == sorted(wanted)


def _is_replica(process: psutil.Process) -> bool:
    words = process.info["cmdline"] or []
    return bool(words) and words[0].startswith("ray::ServeReplica:raylake-push")
