"""CSV files to a Delta table: checked, quarantined and committed exactly once, beside deltalake in one process."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from figures import Figure, rate
from peers import peer_figures

from raylake import data
from raylake.core import Workspace, ray_session

FILES, ROWS = 8, 250_000
WORK = f"ingest {FILES} CSV files, {FILES * ROWS / 1e6:g}M rows x 8 columns"


def run() -> list[Figure]:
    """Rows per second from files to a committed table; every repetition fills a new one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_files(folder / "raw")
        ws = Workspace.open(folder / "lake", ray_address="local")
        numbers = itertools.count()

        def ours() -> int:
            source = data.Source(
                f"flights-{next(numbers)}",
                data.Csv(str(folder / "raw" / "*.csv")),
                expectations=[data.not_null("origin"), data.between("distance", 1, 6000), data.not_null("id")],
            )
            return data.ingest(ws, source).rows or 0

        def limit() -> int:
            rows = 0
            for path in sorted((folder / "raw").glob("*.csv")):
                table = pacsv.read_csv(path)
                pq.write_table(table, folder / f"{path.stem}.parquet", compression="snappy")
                rows += table.num_rows
            return rows

        with ray_session(ws):
            own = rate(WORK, "raylake (3 expectations, Ray tasks)", ours, unit="rows/s")
        return [
            own,
            *peer_figures("deltalake", "deltalake_ingest.py", WORK, folder / "raw", folder / "peer"),
            rate(WORK, "limit: pyarrow, CSV to Parquet", limit, unit="rows/s"),
        ]


def _write_files(folder: Path) -> None:
    folder.mkdir()
    draw = np.random.default_rng(0)
    for index in range(FILES):
        rows = {
            "id": np.arange(ROWS) + index * ROWS,
            "scheduled_at": np.datetime64("2013-01-01T00:00:00") + draw.integers(0, 31_536_000, ROWS),
            "origin": draw.choice(["EWR", "JFK", "LGA"], ROWS),
            "dest": draw.choice(["IAH", "MIA", "LAX", "ORD"], ROWS),
            "distance": draw.integers(80, 5000, ROWS),
            **{name: draw.normal(0, 30, ROWS).round(2) for name in ("dep_delay", "arr_delay", "air_time")},
        }
        pacsv.write_csv(pa.table(rows), folder / f"part-{index}.csv")
