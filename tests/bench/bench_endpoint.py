"""One row over HTTP: an endpoint of raylake beside the same model behind FastAPI and uvicorn written by hand."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import orjson
import pyarrow as pa
from figures import Figure
from http_load import latency, throughput
from peers import PINNED, peer_environment, peer_python

from raylake import features, registry, serve, train
from raylake.core import Workspace, ray_session

COLUMNS, ROWS, CONNECTIONS = 20, 5_000, 32
NAMES = [f"f{index}" for index in range(COLUMNS)]
ALONE = f"endpoint, 1 row x {COLUMNS} columns, 1 connection"
TOGETHER = f"endpoint, 1 row x {COLUMNS} columns, {CONNECTIONS} connections"


def run() -> list[Figure]:
    """Latency of a single row, and requests per second, one serving process each; raylake captures every answer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ws = Workspace.open(folder / "lake", ray_address="local", http_port=0)
        values = dict.fromkeys(NAMES, 0.25)
        plain = orjson.dumps({"rows": [values]})
        with ray_session(ws):
            model = _fit(ws)
            registry.fetch_folder(ws, model.artifact, folder / "model")
            endpoint = serve.deploy(ws, str(model), autoscale=serve.Autoscale(1, 1))
            timed = orjson.dumps({"rows": [values | {"seen_at": "2013-07-01T08:00:00Z"}]})
            ours = _both("raylake (signature checked, captured)", endpoint.predict_url, timed)
            serve.shutdown(ws)
        with _peer(folder / "model" / "model.ubj") as url:
            theirs = _both("FastAPI + uvicorn by hand", f"{url}/predict", plain)
            limit = _both("limit: the same server, a constant answer", f"{url}/constant", plain)
        return [figure for contenders in zip(ours, theirs, limit, strict=True) for figure in contenders]


def _both(who: str, url: str, body: bytes) -> list[Figure]:
    return [latency(ALONE, who, url, body), throughput(TOGETHER, who, url, body, CONNECTIONS)]


def _fit(ws: Workspace) -> registry.ModelVersion:
    draw = np.random.default_rng(0)
    columns = {name: draw.normal(size=ROWS) for name in NAMES}
    start = datetime(2013, 1, 1, tzinfo=UTC)
    at = pa.array([start + timedelta(minutes=minute) for minute in range(ROWS)], pa.timestamp("us", tz="UTC"))
    labels = pa.table({"seen_at": at, **columns, "label": columns["f0"] + draw.normal(size=ROWS) > 0})
    wanted = features.FeatureSet("bench", (), passthrough=NAMES)
    rows = features.training_set(ws, "bench", labels=labels, label="label", event_time="seen_at", feature_set=wanted)
    run = train.fit(ws, train.Spec(train.XGBoost(rounds=100, max_depth=6), rows))
    return registry.register(ws, run, name="bench")


@contextmanager
def _peer(model: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    script = str(PINNED / "fastapi_endpoint.py")
    command = [str(peer_python("fastapi")), script, str(model), str(port), *NAMES]
    process = subprocess.Popen(command, env=peer_environment())
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(model.parent)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.post(f"{url}/constant").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the peer's server did not come up")
