"""Which raw column a feature and a training set were made from."""

from __future__ import annotations

import pyarrow as pa
from feature_cases import at, calendar, warm

from raylake import data, registry
from raylake.core import Node, Workspace
from raylake.features import FeatureSet, FeatureView, OnDemand, Rolling, build_view, training_set

FLIGHTS = pa.table({"origin": ["EWR", "EWR"], "t": [at(1), at(2)], "dep_delay": [5.0, 20.0], "late": [False, True]})


def test_columns_from_raw_tables_to_the_training_set(ws: Workspace) -> None:
    raw = data.write(ws, "flights", FLIGHTS)
    weather = data.write(ws, "weather", pa.table({"origin": ["EWR"], "seen": [at(0)], "temp": [39.0]}))
    late = Rolling("dep_delay", over="3h", agg="mean", name="recent")
    views = [
        FeatureView("congestion", "origin", event_time="t", table="flights", window=late, ttl="6h"),
        FeatureView("weather", "origin", event_time="seen", table="weather", columns=["temp"]),
    ]
    features = FeatureSet("delay", [*views, OnDemand("calendar", ["t"], calendar, ["hour"])], passthrough=["dep_delay"])
    made = training_set(ws, "late", labels=raw, label="late", event_time="t", feature_set=features)
    congestion = Node("table", "features.congestion", "1")

    found = registry.upstream_columns(ws, made.node, "recent")
    assert [(edge.source, edge.source_column, edge.how) for edge in found] == [
        (raw.node, "dep_delay", "mean over 3:00:00"),
        (congestion, "recent", "as of event time, at most 6:00:00 old"),
    ]
    assert {str(edge.source) for edge in registry.upstream_columns(ws, made.node, "temp")} == {
        str(weather.node), "table:features.weather@1"
    }  # fmt: skip
    assert [edge.source for edge in registry.upstream_columns(ws, made.node, "hour")] == [raw.node, made.node]
    reached = {
        (edge.target.name, edge.target_column) for edge in registry.downstream_columns(ws, raw.node, "dep_delay")
    }
    assert reached == {("training.late", "dep_delay"), ("training.late", "recent"), ("features.congestion", "recent")}
    assert registry.upstream_columns(ws, made.node, "nothing") == []


def test_a_transform_may_read_anything_so_nothing_is_said(ws: Workspace) -> None:
    data.write(ws, "weather", pa.table({"origin": ["EWR"], "observed_at": [at(0)], "temp": [39.0]}))
    view = FeatureView("w", "origin", event_time="observed_at", table="weather", columns=["temp"], transform=warm)
    made = build_view(ws, view)
    assert registry.upstream_columns(ws, made.node, "temp") == []
