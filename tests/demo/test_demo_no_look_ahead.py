"""No feature of the flight story looks ahead: on the real data, whatever happens later changes no feature."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raylake import data, features
from raylake.core import Workspace
from raylake.flights import LATE_ARRIVAL, VIEWS, flight_files, sources

NOW = datetime(2013, 3, 8, 18, 0, tzinfo=UTC)
START = NOW - timedelta(days=2)
INSTANT = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> dict[str, pa.Table]:
    ws = Workspace.open(tmp_path_factory.mktemp("raw"), ray_address="local")
    data.ingest_all(ws, list(sources(flight_files())))
    return {name: data.table(ws, name) for name in ("flights", "weather", "planes")}


def _joined(raw: dict[str, pa.Table], labels: pa.Table) -> pa.Table:
    tables = {view.name: features.compute_values(view, raw[view.table.partition("@")[0]]) for view in VIEWS}
    bound = LATE_ARRIVAL.bind(labels.schema, "scheduled_at")
    return features.join_features(labels, bound, tables).select(list(bound.columns))


def _labels(flights: pa.Table) -> pa.Table:
    window = (pc.field("scheduled_at") >= START) & (pc.field("scheduled_at") <= NOW)
    return flights.filter(window).select(
        ["flight_id", "scheduled_at", "carrier", "origin", "dest", "distance", "tailnum"]
    )


def _scrambled(table: pa.Table, moment: str, columns: list[str]) -> pa.Table:
    """The same table with other values in all rows that become known after NOW."""
    later = pc.fill_null(pc.greater(table[moment], pa.scalar(NOW, INSTANT)), True)
    noise = np.random.default_rng(0).normal(500, 100, table.num_rows)
    for name in columns:
        changed = pc.if_else(later, pa.array(noise), pc.cast(table[name], pa.float64()))
        table = table.set_column(table.column_names.index(name), name, changed)
    return table


def _reported(flights: pa.Table) -> pa.ChunkedArray:
    """When an arrival can be known at the earliest: an hour after the time in the air."""
    minutes = pc.add(flights["air_time"], 60.0)
    return pc.add(flights["departed_at"], pc.cast(pc.cast(pc.multiply(minutes, 60e6), pa.int64()), pa.duration("us")))


def test_the_label_and_the_flights_own_delay_are_no_features() -> None:
    schema = pa.schema([("scheduled_at", INSTANT), ("distance", pa.float64())])
    schema = pa.unify_schemas([schema, pa.schema([(n, pa.string()) for n in ("carrier", "origin", "dest", "tailnum")])])
    columns = set(LATE_ARRIVAL.bind(schema, "scheduled_at").columns)
    assert not columns & {"dep_delay", "arr_delay", "dep_time", "arr_time", "air_time", "departed_at", "late"}


def test_whatever_happens_later_changes_no_feature(raw: dict[str, pa.Table]) -> None:
    labels = _labels(raw["flights"])
    assert labels.num_rows > 1000
    before = _joined(raw, labels)
    future = {
        "flights": _scrambled(
            _scrambled(raw["flights"], "departed_at", ["dep_delay"]).append_column("r", _reported(raw["flights"])),
            "r",
            ["arr_delay"],
        ).drop(["r"]),
        "weather": _scrambled(raw["weather"], "observed_at", ["temp", "wind_speed", "precip", "visib"]),
        "planes": raw["planes"],
    }
    assert not future["flights"]["dep_delay"].equals(raw["flights"]["dep_delay"])
    assert before["arrival_delay_mean_6h"].null_count < before.num_rows / 5
    assert _joined(future, labels).equals(before)


def test_the_same_features_by_brute_force(raw: dict[str, pa.Table]) -> None:
    labels = _labels(raw["flights"])
    chosen = labels.take(pa.array(np.random.default_rng(1).choice(labels.num_rows, 60, replace=False)))
    found = _joined(raw, chosen).to_pylist()
    left = (
        raw["flights"]
        .filter(pc.field("departed_at") <= NOW)
        .filter(pc.field("departed_at") >= START - timedelta(hours=18))
    )
    departed = left.select(["origin", "departed_at", "dep_delay"]).to_pylist()
    weather = (
        raw["weather"].filter(pc.field("observed_at") <= NOW).select(["origin", "observed_at", "temp"]).to_pylist()
    )
    arrived = left.append_column("r", _reported(left)).filter(pc.is_valid(pc.field("r"))).to_pylist()
    built = dict(zip(raw["planes"]["tailnum"].to_pylist(), raw["planes"]["year"].to_pylist(), strict=True))
    for row, answer in zip(chosen.to_pylist(), found, strict=True):
        now = row["scheduled_at"]
        seen = [
            w for w in weather if w["origin"] == row["origin"] and now - timedelta(hours=3) <= w["observed_at"] <= now
        ]
        temp = max(seen, key=lambda w: w["observed_at"])["temp"] if seen else None
        assert answer["temp"] == temp
        assert answer["year"] == built.get(row["tailnum"])
        assert answer["aircraft_age"] == (None if answer["year"] is None else 2013 - answer["year"])
        assert answer["arrival_delay_mean_6h"] == _arrivals(arrived, row["dest"], now)
        known = [d for d in departed if d["origin"] == row["origin"] and d["departed_at"] <= now]
        last = max((d["departed_at"] for d in known), default=None)
        if last is None or now - last > timedelta(hours=3):
            assert answer["delay_mean_2h"] is None
            continue
        recent = [d["dep_delay"] for d in known if last - timedelta(hours=2) < d["departed_at"] <= last]
        assert answer["departures_2h"] == len(recent)
        assert answer["delay_mean_2h"] == pytest.approx(np.mean(recent), abs=1e-6)
        assert answer["late_share_2h"] == pytest.approx(np.mean([x > 15 for x in recent]), abs=1e-9)


def _arrivals(arrived: list[dict[str, Any]], dest: str, now: datetime) -> Any:
    """Mean delay of what was reported by now, over six hours up to the last such departure."""
    known = [flight for flight in arrived if flight["dest"] == dest and flight["r"] <= now]
    last = max((flight["departed_at"] for flight in known), default=None)
    if last is None or now - last > timedelta(hours=12):
        return None
    recent = [flight["arr_delay"] for flight in known if last - timedelta(hours=6) < flight["departed_at"]]
    return pytest.approx(np.mean(recent), abs=1e-6)
