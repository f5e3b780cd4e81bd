"""Feast's SQLite online store: one entity, then a hundred, through `get_online_features`.

Usage: feast_sqlite.py ENTITIES COLUMNS
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64
from figures import Figure, emit, timed


def main(entities: int, columns: int) -> list[Figure]:
    """Fill, then look up."""
    folder = Path(tempfile.mkdtemp())
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    names = [f"f{index}" for index in range(columns)]
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.STRING)
    source = FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(
        name="bench", entities=[entity], schema=[Field(name=name, dtype=Float64) for name in names], source=source
    )
    store.apply([entity, view], partial=True)
    random = np.random.default_rng(0)
    # A tenth of the entities: SQLite finds a key as quickly, and filling takes Feast minutes.
    keys = [f"e{index}" for index in range(entities // 10)]
    frame = pd.DataFrame({"entity": keys, **{name: random.random(len(keys)) for name in names}})
    frame["event_timestamp"] = datetime.now(UTC)
    store.write_to_online_store("bench", frame)
    wanted = [f"bench:{name}" for name in names]
    figures = []
    for size, calls in ((1, 100), (100, 5)):
        asked = [[{"entity": keys[i]} for i in random.integers(0, len(keys), size)] for _ in range(calls)]

        def look(asked: list[list[dict[str, str]]] = asked) -> None:
            for rows in asked:
                store.get_online_features(wanted, rows)

        work = f"look up {size} of 100k entities x 20 features"
        figures.append(timed(work, "Feast 0.67, SQLite store (10k entities)", look, per=calls, unit="us"))
    return figures


if __name__ == "__main__":
    emit(main(int(sys.argv[1]), int(sys.argv[2])))
