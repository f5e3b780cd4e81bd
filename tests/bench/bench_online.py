"""Feature look-up in process beside bare LMDB gets of values of the same size."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import numpy as np
import pyarrow as pa
from figures import Figure, timed

from raylake import features
from raylake.core import Workspace

ENTITIES, COLUMNS, LOOKUPS = 100_000, 20, 2_000
START = datetime(2024, 1, 1, tzinfo=UTC)


def run() -> list[Figure]:
    """One row, then a hundred rows a call; 100k entities with 20 features."""
    random = np.random.default_rng(0)
    names = [f"f{index}" for index in range(COLUMNS)]
    keys = [f"e{index}" for index in range(ENTITIES)]
    view = features.FeatureView("bench", "entity", event_time="at", table="bench", columns=names)
    values = pa.table(
        {
            "entity": keys,
            "at": pa.array([START] * ENTITIES, pa.timestamp("us", tz="UTC")),
            **{name: random.random(ENTITIES) for name in names},
        }
    )
    wanted = features.FeatureSet("bench", features=(view,))
    folder = Path(tempfile.mkdtemp())
    ws = Workspace.open(folder / "lake")
    with features.Materialiser(ws, wanted, {"bench": values}) as feed:
        feed.advance(START + timedelta(days=1))
    asked = [keys[index] for index in random.integers(0, ENTITIES, LOOKUPS)]
    figures = []
    with features.open_online(ws) as store, _bare(folder / "bare", keys) as bare:
        reader = features.FeatureReader(store, wanted)
        for size in (1, 100):
            now = pa.array([START + timedelta(days=2)] * size, pa.timestamp("us", tz="UTC"))
            tables = [pa.table({"entity": asked[at : at + size], "event_time": now}) for at in range(0, LOOKUPS, size)]
            work = f"look up {size} of 100k entities x 20 features"
            figures.append(
                timed(work, "raylake", lambda t=tables: [reader.assemble(x) for x in t], per=len(tables), unit="us")
            )
            figures.append(
                timed(work, "limit: bare LMDB get", lambda s=size: _get(bare, asked, s), per=len(tables), unit="us")
            )
    return figures


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
