"""Point-in-time join beside polars and DuckDB called directly on the same tables."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from figures import Figure, timed

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

    def polars() -> pl.DataFrame:
        left, right = pl.from_arrow(labels).sort("at"), pl.from_arrow(values).sort("at")  # type: ignore[union-attr]
        return left.join_asof(right, on="at", by="key", strategy="backward", check_sortedness=False)

    def duck() -> pa.Table:
        query = "select l.*, v.value from labels l asof left join values v on l.key = v.key and l.at >= v.at"
        with duckdb.connect() as connection:
            connection.register("labels", labels)
            connection.register("values", values)
            return connection.execute(query.replace("values v", '"values" v')).to_arrow_table()

    return [
        timed(WORK, "raylake", ours),
        timed(WORK, "polars join_asof (sorted first)", polars),
        timed(WORK, "DuckDB ASOF JOIN", duck),
    ]
