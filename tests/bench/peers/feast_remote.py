"""Feast's own client against a server that speaks its protocol: features are written and read, and printed as JSON.

Usage: feast_remote.py URL. The server has a view ``weather`` of entity ``origin`` with ``temp`` and ``sky``, and a view
``seats`` of the integer entity ``row`` with ``price``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, String


def main(url: str) -> None:
    """Define, write, read."""
    folder = Path(tempfile.mkdtemp())
    config = RepoConfig(
        project="flights",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "remote", "path": url},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    source = FileSource(path=str(folder / "none.parquet"), timestamp_field="event_timestamp")
    origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
    row = Entity(name="row", join_keys=["row"], value_type=ValueType.INT64)
    weather = FeatureView(
        name="weather",
        entities=[origin],
        ttl=timedelta(days=1),
        schema=[Field(name="origin", dtype=String), Field(name="temp", dtype=Float64), Field(name="sky", dtype=String)],
        source=source,
    )
    seats = FeatureView(name="seats", entities=[row], schema=[Field(name="price", dtype=Float64)], source=source)
    store.apply([origin, row, weather, seats], partial=True)
    now = datetime.now(UTC).replace(tzinfo=None)
    written = pd.DataFrame({"origin": ["NEW"], "temp": [7.5], "sky": ["new"], "event_timestamp": [now]})
    store.write_to_online_store("weather", written)
    rows = [{"origin": name} for name in ("EWR", "JFK", "NEW", "XXX")]
    read = store.get_online_features(["weather:temp", "weather:sky"], rows).to_dict()
    priced = store.get_online_features(["seats:price"], [{"row": 7}, {"row": 8}], full_feature_names=True).to_dict()
    print(json.dumps({"weather": read, "seats": priced}))


if __name__ == "__main__":
    main(sys.argv[1])
