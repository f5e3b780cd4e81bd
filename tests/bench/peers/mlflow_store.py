"""MLflow's SQLite store called in process: metrics in batches, and a search of many runs."""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, emit, timed
from mlflow.entities import Metric, ViewType
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

BATCHES, BATCH = 4, 1000


def main(write: str, search: str, runs: int, text: str) -> None:
    """Metrics a second; seconds of a search."""
    folder = Path(tempfile.mkdtemp())
    store = SqlAlchemyStore(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))
    run = store.create_run("0", "me", 1, [], "bench").info.run_id
    batches = [[Metric(f"m{n % 50}", n / 7, n, b * BATCH + n) for n in range(BATCH)] for b in range(BATCHES)]
    start = time.perf_counter()
    for batch in batches:
        store.log_batch(run, batch, [], [])
    written = BATCHES * BATCH / (time.perf_counter() - start)
    _fill(folder / "mlflow.db", runs)

    def find() -> int:
        return len(store.search_runs(["0"], text, ViewType.ACTIVE_ONLY, 1000))

    emit(
        [
            Figure(write, "MLflow SQLite store", written, "metrics/s", "higher"),
            timed(search, "MLflow SQLite store", find),
        ]
    )


def _fill(path: Path, runs: int) -> None:
    """Rows as its client would have made them, past the client, which would need hours."""
    rng = random.Random(0)
    ids = [f"{number:032x}" for number in range(runs)]
    with sqlite3.connect(path) as db:
        db.executemany(
            "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, "
            "start_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
            "values (?, 'r', 'UNKNOWN', '', '', 'me', 'FINISHED', ?, '', 'active', 'a', 0)",
            [(run, 1_700_000_000_000 + number) for number, run in enumerate(ids)],
        )
        db.executemany(
            "insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid) values (?, ?, 1, 0, 0, ?)",
            [(f"m{key}", rng.random(), run) for run in ids for key in range(10)],
        )
        db.executemany(
            "insert into tags (key, value, run_uuid) values (?, ?, ?)",
            [row for n, run in enumerate(ids) for row in (("team", f"t{n % 20}", run), ("mlflow.user", "me", run))],
        )
        db.executemany(
            "insert into params (key, value, run_uuid) values (?, ?, ?)",
            [(f"p{key}", str(rng.randrange(100)), run) for run in ids for key in range(10)],
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
