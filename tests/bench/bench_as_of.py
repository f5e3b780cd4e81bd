"""Point-in-time join beside polars, DuckDB and Feast on the same tables, several views at once, and on Ray."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from figures import Figure, timed
from peers import peer_figures

from raylake import data, features
from raylake.core import Workspace
from raylake.features.as_of import Join, join_all

LABELS, VALUES, KEYS = 1_000_000, 5_000_000, 10_000
WORK = "as-of join, 1M labels x 5M values x 10k keys"
TENTH = "as-of join, 0.1M labels x 0.5M values x 10k keys"
VIEWS = "as-of join, 1M labels with 4 views of 1M values"
BY_RAY = "training set on Ray, 0.2M labels x {:g}M values"
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
    return [*_whole(random), *_tenth(random), *_several(random), *_by_ray(random)]


def _whole(random: np.random.Generator) -> list[Figure]:
    labels, values = _table(random, LABELS, "label"), _table(random, VALUES, "value")
    ours = timed(WORK, "raylake", lambda: _join(labels, values))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder), labels, values)
        return [
            ours,
            Figure(f"{WORK}, peak memory with both tables", "raylake", peak, "GiB", "lower"),
            *peer_figures("polars", "polars_as_of.py", WORK, *files),
            *peer_figures("duckdb", "duckdb_as_of.py", WORK, *files),
        ]


def _tenth(random: np.random.Generator) -> list[Figure]:
    labels, values = _table(random, LABELS // 10, "label"), _table(random, VALUES // 10, "value")
    with tempfile.TemporaryDirectory() as folder:
        files = _files(Path(folder), labels, values)
        ours = timed(TENTH, "raylake", lambda: _join(*(pq.read_table(file) for file in files)))
        return [ours, *peer_figures("feast", "feast_as_of.py", TENTH, *files)]


def _several(random: np.random.Generator) -> list[Figure]:
    """Views of one entity in one pass, and in a pass each."""
    labels = _table(random, LABELS, "label")
    views = [Join(_table(random, LABELS, f"value{n}"), ("key",), "at", (f"value{n}",)) for n in range(4)]
    return [
        timed(VIEWS, "raylake, one pass", lambda: join_all(labels, "at", views)),
        timed(VIEWS, "a pass each", lambda: [join_all(labels, "at", [view]) for view in views]),
    ]


def _by_ray(random: np.random.Generator) -> list[Figure]:
    """Ten times the values: how the driver's memory and the time grow."""
    found = []
    for million in (0.5, 5.0):
        with tempfile.TemporaryDirectory() as folder:
            ws = Workspace.open(folder)
            values = _table(random, int(million * 1e6), "value")
            data.write(ws, "readings", values)
            data.write(ws, "labels", _table(random, LABELS // 5, "label"))
            del values
            entity = features.Entity("key", types={"key": "int64"})
            view = features.FeatureView("readings", entity, event_time="at", table="readings", columns=["value"])
            built = {"readings": features.build_view(ws, view)}
            given = {"labels": "labels", "label": "label", "event_time": "at", "views": built}
            chosen = features.FeatureSet("readings", [view])
            features.training_set(ws, "warm", **given, feature_set=chosen, where=(None, None), engine="ray")
            start = time.perf_counter()
            features.training_set(ws, "made", **given, feature_set=chosen, engine="ray")
            taken = time.perf_counter() - start
            found.append(Figure(BY_RAY.format(million), "raylake", taken, "s", "lower"))
    return found


def _join(labels: pa.Table, values: pa.Table) -> pa.Table:
    return features.join_as_of(labels, values, keys=["key"], label_time="at", event_time="at", columns=["value"])


def _files(folder: Path, labels: pa.Table, values: pa.Table) -> tuple[Path, Path]:
    files = (folder / "labels.parquet", folder / "values.parquet")
    for file, table in zip(files, (labels, values), strict=True):
        pq.write_table(table, file)
    return files
