"""Functions and views that the feature tests share; importable, as serving needs them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from raylake.features import Entity, FeatureSet, FeatureView, OnDemand, Rolling

START = datetime(2013, 3, 10, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")


def at(hours: float) -> datetime:
    """A moment some hours after START."""
    return START + timedelta(hours=hours)


def calendar(table: pa.Table) -> pa.Table:
    """Hour of day."""
    return pa.table({"hour": pc.hour(table["t"])})


def warm(table: pa.Table) -> pa.Table:
    """Only rows that are there, in degrees Celsius."""
    return table.set_column(table.column_names.index("temp"), "temp", pc.divide(pc.subtract(table["temp"], 32.0), 1.8))


def rank_of_rows(table: pa.Table) -> pa.Table:
    """Wrong on purpose: the answer depends on the other rows."""
    return pa.table({"hour": pc.rank(table["t"])})


WEATHER = FeatureView(
    "weather",
    "origin",
    event_time="e",
    created_time="c",
    table="weather",
    columns=["temp", "sky", "ok", "code", "day", "seen", "wind"],
    types={"sky": "string", "ok": "bool", "code": "int64", "day": "date", "seen": "timestamp", "wind": "float32"},
    ttl="3h",
)
SEATS = FeatureView(
    "seats", Entity("seat", ("origin", "row"), {"row": "int64"}), event_time="e", table="seats", columns=["price"]
)
BUSY = FeatureView(
    "busy",
    "origin",
    event_time="e",
    created_time="c",
    table="weather",
    window=[Rolling("temp", "2h", agg, name=agg) for agg in ("mean", "count")],
    ttl="5h",
)
CALENDAR = OnDemand("calendar", ["t"], calendar, ["hour"])
FEATURES = FeatureSet("all", [WEATHER, SEATS, BUSY, CALENDAR], passthrough=["origin", "fare"], event_time="t")
