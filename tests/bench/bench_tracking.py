"""Tracking beside MLflow 3.17's own server and SQLite store, the servers driven by MLflow's own client.

MLflow's part is scaled down (it would take an hour): rates are per run or per metric, so that they compare.
"""

from __future__ import annotations

import http.client
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
from figures import Figure, rate, timed
from peers import peer_environment, peer_figures, peer_python

from raylake import registry
from raylake.core import Workspace
from raylake.registry.engine import transaction
from raylake.registry.tracking.bulk import LATEST, METRICS, PARAMS, TAGS, insert

HERE = Path(__file__).resolve().parent
CLIENT = "MLflow's client, one process: runs x 10 params x 50 metrics"
EACH = "MLflow's client, one process: runs x 10 log_param, 50 log_metric"
BATCHED = "metrics over HTTP in batches of 1,000"
SINGLE = "metrics over HTTP one by one, 8 connections"
PYTHON = "metrics through the Python API, 50 a call"
SEARCH = "search 30,000 runs by metric and tag"
RUNS, RUNS_OF_MLFLOW, FOUND = 1000, 20, 30_000
FILTER = "metrics.m3 > 0.9 AND tags.team = 't7'"
OURS = (
    "import sys, uvicorn; from raylake.console import create_app; from raylake.core import Workspace; "
    "uvicorn.run(create_app(Workspace.open(sys.argv[1])), host='127.0.0.1', port=int(sys.argv[2]), log_level='error')"
)


def run() -> list[Figure]:
    """Both servers and one that does nothing, one after the other; then both stores without a server."""
    folder = Path(tempfile.mkdtemp())
    figures = []
    with _serving([sys.executable, "-c", OURS, str(folder / "lake")], None) as port:
        figures += _client("raylake", port, RUNS)
        figures += [_batched("raylake", port, 100, 4), _single("raylake", port, 4000, 8)]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [str(peer_python("mlflow")), "-m", "mlflow", "server", "--workers", "1", *store]
    with _serving([*command, "--host", "127.0.0.1", "--port"], peer_environment()) as port:
        who = "MLflow server, SQLite"
        figures += _client(who, port, RUNS_OF_MLFLOW)
        figures += [_batched(who, port, 2, 1), _single(who, port, 80, 8)]
    with _serving([sys.executable, str(HERE / "null_server.py")], None) as port:
        figures += _client("limit: a server that answers at once", port, RUNS // 4)
    figures += [*_python(folder), _search(folder)]
    return figures + peer_figures("mlflow", "mlflow_store.py", PYTHON, SEARCH, FOUND, FILTER)


def _client(who: str, port: int, runs: int) -> list[Figure]:
    url = f"http://127.0.0.1:{port}"
    return peer_figures("mlflow", "mlflow_client.py", CLIENT, EACH, who, url, runs)


@contextmanager
def _serving(command: list[str], environment: dict[str, str] | None) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [*command, str(port)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            urlopen(f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=5).read()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start within two minutes")


class _Connection:
    """One kept-alive connection of a client that costs little itself."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port)

    def post(self, path: str, body: Any) -> Any:
        headers = {"content-type": "application/json"}
        self._http.request("POST", f"/api/2.0/mlflow{path}", orjson.dumps(body), headers)
        answer = self._http.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return orjson.loads(data)

    def new_run(self) -> str:
        made = self.post("/runs/create", {"experiment_id": "0", "start_time": 1})
        return str(made["run"]["info"]["run_id"])


def _together(port: int, connections: int, work: Any) -> float:
    """Seconds that `work(connection, run)` takes on several connections at once, each with a run of its own."""
    opened = [_Connection(port) for _ in range(connections)]
    runs = [each.new_run() for each in opened]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(opened, runs, strict=True)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def _batched(who: str, port: int, batches: int, connections: int) -> Figure:
    bodies = [
        [{"key": f"m{n}", "value": n / 7, "timestamp": 1_700_000_000_000 + b, "step": b} for n in range(1000)]
        for b in range(batches // connections)
    ]

    def work(connection: _Connection, run: str) -> None:
        for body in bodies:
            connection.post("/runs/log-batch", {"run_id": run, "metrics": body})

    taken = _together(port, connections, work)
    return Figure(BATCHED, who, connections * len(bodies) * 1000 / taken, "metrics/s", "higher")


def _single(who: str, port: int, requests: int, connections: int) -> Figure:
    each = requests // connections

    def work(connection: _Connection, run: str) -> None:
        for step in range(each):
            metric = {"key": "m", "value": step / 7, "timestamp": 1_700_000_000_000 + step, "step": step}
            connection.post("/runs/log-metric", {"run_id": run, **metric})

    return Figure(SINGLE, who, each * connections / _together(port, connections, work), "metrics/s", "higher")


def _python(folder: Path) -> list[Figure]:
    ws = Workspace.open(folder / "api")
    values = {f"m{number}": number / 7 for number in range(50)}

    def writer() -> int:
        fit = registry.start_run(ws, "fit", "bench")
        with registry.MetricWriter(ws, fit.id) as log:
            for step in range(4000):
                log.log(values, step=step)
        return 200_000

    def each() -> int:
        fit = registry.start_run(ws, "fit", "bench")
        for step in range(300):
            registry.log_metrics(ws, fit.id, values, step=step)
        return 15_000

    def bare() -> int:
        with sqlite3.connect(folder / "bare.db", isolation_level=None) as db:
            for pragma in ("journal_mode=wal", "synchronous=normal"):
                db.execute(f"pragma {pragma}")
            db.execute("create table if not exists metric (run, key, step, at, value, primary key (run, key, step))")
            db.execute("delete from metric")
            for start in range(0, 4000, 400):
                rows = [
                    (1, key, step, step, value) for step in range(start, start + 400) for key, value in values.items()
                ]
                db.execute("begin")
                db.executemany("insert into metric values (?, ?, ?, ?, ?)", rows)
                db.execute("commit")
        return 200_000

    return [
        rate(PYTHON, "raylake", writer, unit="metrics/s"),
        rate(PYTHON, "raylake, a commit each call", each, unit="metrics/s"),
        rate(PYTHON, "limit: bare SQLite", bare, unit="metrics/s"),
    ]


def _search(folder: Path) -> Figure:
    ws = Workspace.open(folder / "many")
    experiment = registry.create_experiment(ws, "many").id
    rng, start = random.Random(0), datetime(2024, 1, 1, tzinfo=UTC)
    moments = [(start + timedelta(seconds=number)).strftime("%Y-%m-%d %H:%M:%S.%f") for number in range(FOUND)]
    columns = "(id, kind, name, status, inputs, outputs, error, created_at, experiment_id)"
    with transaction(ws.registry_url) as connection:
        connection.exec_driver_sql(
            f"insert into run {columns} values (?, 'mlflow', 'r', 'finished', '[]', '[]', '', ?, ?)",
            [(f"{number:032x}", at, experiment) for number, at in enumerate(moments)],
        )
        seqs = [row[0] for row in connection.exec_driver_sql("select seq from run order by seq")]
        points = [(seq, f"m{key}", 0, 1, rng.random(), False) for seq in seqs for key in range(10)]
        insert(connection, METRICS, points)
        insert(connection, LATEST, points)
        insert(
            connection, PARAMS, [(seq, f"p{key}", str(rng.randrange(100)), False) for seq in seqs for key in range(10)]
        )
        tags = [row for n, seq in enumerate(seqs) for row in ((seq, "team", f"t{n % 20}"), (seq, "mlflow.user", "me"))]
        insert(connection, TAGS, [(*row, False) for row in tags])
    return timed(SEARCH, "raylake", lambda: registry.search_runs(ws, FILTER, experiments=[experiment]))
