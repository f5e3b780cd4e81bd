"""Look-ups in Redis beside raw redis-py with one packed value per entity, and from a push to its being online."""

from __future__ import annotations

import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import redis
from figures import Figure, timed

from raylake import data, features
from raylake.core import Workspace
from raylake.features.newest import Newest

ENTITIES, COLUMNS, LOOKUPS = 100_000, 20, 1_000
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = [f"f{index}" for index in range(COLUMNS)]
VIEW = features.FeatureView("bench", "entity", event_time="at", table="bench", columns=NAMES)


def run() -> list[Figure]:
    """100k entities with 20 features, one at a time and a hundred; then twenty events pushed one after another."""
    folder = Path(tempfile.mkdtemp())
    with _server(folder) as port:
        return [*_lookups(folder, port), *_pushes(folder, "")]


def _lookups(folder: Path, port: int) -> list[Figure]:
    random = np.random.default_rng(0)
    keys = [f"e{index}" for index in range(ENTITIES)]
    asked = [keys[index] for index in random.integers(0, ENTITIES, LOOKUPS)]
    times = pa.array([START] * ENTITIES, pa.timestamp("us", tz="UTC"))
    values = pa.table({"entity": keys, "at": times, **{name: random.random(ENTITIES) for name in NAMES}})
    layout = struct.Struct(f"<{COLUMNS}d")
    raw = redis.Redis(port=port, db=1)
    with raw.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.set(key, layout.pack(*range(COLUMNS)))
        pipeline.execute()
    figures = []
    with features.open_online(Workspace.open(folder / "redis", online_url=f"redis://127.0.0.1:{port}/0")) as store:
        for chunk in Newest(VIEW, values).chunks():
            store.put(chunk)
        look = features.LookUp(store, VIEW)
        for size in (1, 100):
            work = f"look up {size} of 100k entities x 20 features in Redis"
            parts = [asked[at : at + size] for at in range(0, LOOKUPS, size)]
            rows = [[{"entity": key} for key in part] for part in parts]

            def ours(rows: list[Any] = rows) -> None:
                for part in rows:
                    look.get(part[0]) if len(part) == 1 else look.get_many(part)

            def theirs(parts: list[list[str]] = parts) -> None:
                for part in parts:
                    found = [raw.get(part[0])] if len(part) == 1 else raw.mget(part)
                    [layout.unpack(value) for value in found]

            figures += [
                timed(work, "raylake", ours, per=len(parts), unit="us", repeat=5),
                timed(work, "redis-py, one packed value each", theirs, per=len(parts), unit="us", repeat=5),
            ]
    return figures


def _pushes(folder: Path, url: str) -> list[Figure]:
    ws = Workspace.open(folder / "pushed", online_url=url)
    schema = {"entity": "string", "at": "timestamp", "f0": "float64"}
    source = data.Source("bench", data.PushLog(str(folder / "inbox")), schema=schema)
    view = features.FeatureView("pushed", "entity", event_time="at", table="bench", columns=["f0"])
    inbox, stop = data.Inbox(source), threading.Event()

    def event(number: int) -> dict[str, Any]:
        return {"entity": "e", "at": (START + timedelta(seconds=number)).isoformat(), "f0": float(number)}

    inbox.accept([event(0)]).result()
    data.run_once(ws, source)
    features.materialise(ws, view)
    following = threading.Thread(target=features.keep_online, args=(ws,), kwargs={"stop": stop, "every": "50ms"})
    following.start()
    taken = []
    with features.open_online(ws) as store:
        look = features.LookUp(store, view)
        for number in range(1, 21):
            start = time.perf_counter()
            inbox.accept([event(number)]).result()
            data.run_once(ws, source)
            while look.get({"entity": "e"})["f0"] != number:
                time.sleep(0.001)
            taken.append(time.perf_counter() - start)
    stop.set()
    following.join()
    inbox.close()
    work = "from a pushed event to its feature online"
    return [
        Figure(work, "raylake, median", float(np.median(taken)), "s", "lower", max(taken) / min(taken)),
        Figure(work, "raylake, slowest of 20", max(taken), "s", "lower"),
    ]


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()
