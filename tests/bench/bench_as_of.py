"""Point-in-time join beside polars and DuckDB on the same tables."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from figures import Figure, timed
from peers import peer_figures

from raylake import features

LABELS, VALUES, KEYS = 300_000, 1_500_000, 10_000
WORK = "as-of join, 0.3M labels x 1.5M values x 10k keys"
INSTANT = pa.timestamp("us", tz="UTC")


def _table(random: np.random.Generator, rows: int, column: str) -> pa.Table:
    times = np.sort(random.integers(0, 365 * 86_400_000_000, rows))
    return pa.table(
        {
            "key": random.integers(0, KEYS, rows),
            "at": pa.array(times, pa.int64()).cast(INSTANT),
            column: random.random(rows),
        }
    )


def run() -> list[Figure]:
    """The newest value at or before each label."""
    random = np.random.default_rng(0)
    labels, values = _table(random, LABELS, "label"), _table(random, VALUES, "value")

    def ours() -> pa.Table:
        return features.join_as_of(labels, values, keys=["key"], label_time="at", event_time="at", columns=["value"])

    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder, "labels.parquet"), Path(folder, "values.parquet"))
        for file, table in zip(files, (labels, values), strict=True):
            pq.write_table(table, file)
        return [
            timed(WORK, "raylake", ours),
            *peer_figures("polars", "polars_as_of.py", WORK, *files),
            *peer_figures("duckdb", "duckdb_as_of.py", WORK, *files),
        ]
