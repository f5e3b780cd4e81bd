"""Profile of a table beside reading it into pandas and describing it."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from figures import Figure, timed
from peers import peer_figures

from raylake import data
from raylake.core import Workspace

ROWS, FILES = 5_000_000, 10
WORK = "profile, 5M rows x 10 columns"


def _part(random: np.random.Generator, rows: int) -> pa.Table:
    numbers = {f"n{place}": random.normal(place, 1.0, rows) for place in range(5)}
    return pa.table(
        {
            **numbers,
            "count": random.integers(0, 1000, rows),
            "big": random.integers(0, 1 << 60, rows),
            "city": pa.array(random.integers(0, 300, rows)).cast(pa.string()),
            "at": pa.array(random.integers(0, 10**15, rows)).cast(pa.timestamp("us", tz="UTC")),
            "flag": random.random(rows) < 0.3,
        }
    )


def run() -> list[Figure]:
    """Ours gives more (histograms, distinct and frequent values, correlations) of the same files."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        ws, plain = Workspace.open(Path(folder, "lake"), ray_address="local"), Path(folder, "plain")
        plain.mkdir()
        for place in range(FILES):
            part = _part(random, ROWS // FILES)
            data.write(ws, "events", part)
            pq.write_table(part, plain / f"{place}.parquet")
            del part
        ours = timed(WORK, "raylake", lambda: data.profile(ws, "events", record=False))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return [
            ours,
            Figure(f"{WORK}, memory", "raylake", peak, "MiB", "lower"),
            *peer_figures("pandas", "pandas_describe.py", WORK, plain),
        ]
