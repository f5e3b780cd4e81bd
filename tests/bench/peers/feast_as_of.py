"""Feast's local offline store (DuckDB) on Parquet files. Arguments: workload, labels file, values file."""

from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.repo_config import RepoConfig
from feast.types import Float64
from figures import emit, timed


def main(workload: str, labels_file: str, values_file: str) -> None:
    """Time `get_historical_features` from the labels' frame to a frame."""
    labels = pd.read_parquet(labels_file).rename(columns={"at": "event_timestamp"})
    with tempfile.TemporaryDirectory() as folder:
        config = RepoConfig(
            project="peer",
            provider="local",
            registry=str(Path(folder, "registry.db")),
            offline_store={"type": "duckdb"},
            online_store={"type": "sqlite", "path": str(Path(folder, "online.db"))},
            entity_key_serialization_version=3,
        )
        store = FeatureStore(config=config)
        entity = Entity(name="key", value_type=ValueType.INT64)
        view = FeatureView(
            name="readings",
            entities=[entity],
            ttl=timedelta(days=3650),
            schema=[Field(name="value", dtype=Float64)],
            source=FileSource(path=values_file, timestamp_field="at"),
        )
        store.apply([entity, view])
        join = lambda: store.get_historical_features(labels, features=["readings:value"]).to_df()  # noqa: E731
        emit([timed(workload, "Feast, DuckDB offline store", join, repeat=1)])


main(*sys.argv[1:])
