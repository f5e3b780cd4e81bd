"""Feature look-ups in process beside bare LMDB and Feast's SQLite store; filling the store beside bare LMDB writes."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import numpy as np
import pyarrow as pa
from figures import Figure, rate, timed
from peers import peer_figures

from raylake import features
from raylake.core import Workspace
from raylake.features.newest import Newest

ENTITIES, COLUMNS, LOOKUPS = 100_000, 20, 2_000
FILLED = 500_000
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = [f"f{index}" for index in range(COLUMNS)]
VIEW = features.FeatureView("bench", "entity", event_time="at", table="bench", columns=NAMES)


def run() -> list[Figure]:
    """One row, then a hundred rows a call; 100k entities with 20 features. Then half a million rows to fill."""
    random = np.random.default_rng(0)
    keys = [f"e{index}" for index in range(ENTITIES)]
    folder = Path(tempfile.mkdtemp())
    asked = [keys[index] for index in random.integers(0, ENTITIES, LOOKUPS)]
    figures = []
    with features.open_online(Workspace.open(folder / "lake")) as store, _bare(folder / "bare", keys) as bare:
        for chunk in Newest(VIEW, _values(random, keys)).chunks():
            store.put(chunk)
        look = features.LookUp(store, VIEW)
        reader = features.FeatureReader(store, features.FeatureSet("bench", features=(VIEW,)))
        for size in (1, 100):
            work = f"look up {size} of 100k entities x 20 features"
            calls = LOOKUPS // size
            rows = [[{"entity": key} for key in asked[at : at + size]] for at in range(0, LOOKUPS, size)]
            now = pa.array([START + timedelta(days=2)] * size, pa.timestamp("us", tz="UTC"))
            tables = [pa.table({"entity": asked[at : at + size], "event_time": now}) for at in range(0, LOOKUPS, size)]
            get = look.get if size == 1 else look.get_many
            given = [each[0] for each in rows] if size == 1 else rows
            figures += [
                timed(work, "raylake", lambda g=get, r=given: [g(x) for x in r], per=calls, unit="us"),
                timed(
                    work,
                    "raylake, as an Arrow table",
                    lambda t=tables: [reader.assemble(x) for x in t],
                    per=calls,
                    unit="us",
                ),
                timed(work, "limit: bare LMDB get", lambda s=size: _get(bare, asked, s), per=calls, unit="us"),
            ]
        figures += _tails(look, bare, asked)
    figures += peer_figures("feast", "feast_sqlite.py", ENTITIES, COLUMNS)
    return figures + _filling(random, folder)


def _tails(look: features.LookUp, bare: lmdb.Environment, asked: list[str]) -> list[Figure]:
    work = "look up 1 of 100k entities x 20 features, 99th percentile"
    keys = [{"entity": key} for key in asked]
    found = []
    for who, call, given in (
        ("raylake", look.get, keys),
        ("limit: bare LMDB get", lambda k: _get(bare, [k], 1), asked),
    ):
        taken = []
        for _ in range(10):
            for one in given:
                start = time.perf_counter_ns()
                call(one)
                taken.append(time.perf_counter_ns() - start)
        found.append(Figure(work, who, float(np.percentile(taken, 99)) / 1e3, "us", "lower"))
    return found


def _filling(random: np.random.Generator, folder: Path) -> list[Figure]:
    work = "fill an empty store, 500k entities x 20 features"
    keys = [f"e{index:07d}" for index in random.permutation(FILLED)]
    values = _values(random, keys)
    pairs = sorted((key.encode(), bytes(8 * COLUMNS + 23)) for key in keys)
    turns = iter(range(100))

    def fill() -> int:
        with features.LmdbStore(str(folder / f"filled{next(turns)}"), map_size=1 << 30) as store:
            return sum(store.put(chunk) for chunk in Newest(VIEW, values).chunks())

    def bare() -> int:
        with lmdb.open(str(folder / f"filled{next(turns)}"), map_size=1 << 30, sync=False) as environment:
            for start in range(0, FILLED, 50_000):
                with environment.begin(write=True) as transaction:
                    transaction.cursor().putmulti(pairs[start : start + 50_000])
        return FILLED

    return [
        rate(work, "raylake", fill, unit="rows/s"),
        rate(work, "limit: bare LMDB, packed and sorted before", bare, unit="rows/s"),
    ]


def _values(random: np.random.Generator, keys: list[str]) -> pa.Table:
    times = pa.array([START] * len(keys), pa.timestamp("us", tz="UTC"))
    return pa.table({"entity": keys, "at": times, **{name: random.random(len(keys)) for name in NAMES}})


def _bare(path: Path, keys: list[str]) -> lmdb.Environment:
    environment = lmdb.open(str(path), map_size=1 << 30, sync=False)
    with environment.begin(write=True) as transaction:
        for key in keys:
            transaction.put(key.encode(), bytes(8 * COLUMNS + 16))
    return environment


def _get(environment: lmdb.Environment, keys: list[str], size: int) -> None:
    for at in range(0, len(keys), size):
        with environment.begin() as transaction:
            for key in keys[at : at + size]:
                np.frombuffer(transaction.get(key.encode()), dtype=np.float64)
