"""A month of raw flights is deleted: raw rows, views, training sets, online values, and the files that held them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feature_cases import STAMP

from raylake import data, features
from raylake.core import Workspace
from raylake.features.codec import ViewCodec
from raylake.flights import LATE_ARRIVAL, prepare_flights, prepare_planes, prepare_weather

START, MARCH = datetime(2013, 1, 1, 5, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)
IN_MARCH = 10_000.0  # minutes that every flight of March is late, and no other
DELAYS = ("dep_delay", "arr_delay", "delay", "arrival_delay_last")


def raw() -> tuple[pa.Table, pa.Table, pa.Table]:
    """Flights, weather and planes of three months, an hour apart, with what happens: cancelled and early flights."""
    hours = [START + timedelta(hours=hour) for hour in range(24 * 88)]
    origins, dests = ["EWR", "JFK", "LGA"], ["LAX", "BOS"]
    late = [float(n % 50 - 5) + (IN_MARCH if hour >= MARCH else 0.0) for n, hour in enumerate(hours)]
    delays = [None if n % 37 == 0 else delay for n, delay in enumerate(late)]
    flights = {
        "time_hour": pa.array(hours, STAMP),
        "minute": [n % 60 for n in range(len(hours))],
        "dep_delay": pa.array(delays, pa.float64()),
        "arr_delay": pa.array([None if delay is None else delay + 2 for delay in delays], pa.float64()),
        "air_time": pa.array([None if delay is None else 90.0 for delay in delays], pa.float64()),
        "carrier": ["UA"] * len(hours),
        "flight": [n % 9 for n in range(len(hours))],
        "origin": [origins[n % 3] for n in range(len(hours))],
        "dest": [dests[n % 2] for n in range(len(hours))],
        "tailnum": [f"N{n % 5}" for n in range(len(hours))],
        "distance": [500.0] * len(hours),
    }
    measured = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
    weather = {
        "origin": origins * 30,
        "time_hour": pa.array([START + timedelta(days=n // 3) for n in range(90)], STAMP),
    }
    weather |= {name: [float(n % 11) for n in range(90)] for name in measured}
    planes = {"tailnum": [f"N{n}" for n in range(5)], "year": [1990.0 + n for n in range(5)], "seats": [100.0] * 5}
    return prepare_flights(pa.table(flights)), prepare_weather(pa.table(weather)), prepare_planes(pa.table(planes))


def fill(ws: Workspace, flights: pa.Table, weather: pa.Table, planes: pa.Table) -> None:
    """The tables, the feature set online, and a training set."""
    data.write(ws, "flights", flights)
    data.write(ws, "weather", weather)
    data.write(ws, "planes", planes)
    features.materialise(ws, LATE_ARRIVAL)
    features.training_set(
        ws,
        "late-arrival",
        labels="flights",
        label="late",
        event_time="scheduled_at",
        feature_set=LATE_ARRIVAL,
        keep=["flight_id"],
    )


def online(ws: Workspace) -> dict[str, dict[bytes, bytes]]:
    with features.open_online(ws) as store:
        return {view.name: dict(store.scan(ViewCodec(view).prefix)) for view in LATE_ARRIVAL.views}


def on_disk(ws: Workspace, gone: set[str]) -> list[str]:
    """Files of tables, logs included, in which something of the flights `gone` is left."""
    found = []
    for path in (Path(ws.root) / "tables").rglob("*"):
        if path.is_file() and any(name.encode() in path.read_bytes() for name in gone):
            found.append(str(path))
        elif path.suffix == ".parquet" and "_delta_log" not in path.parts:
            rows = pq.read_table(path)
            ids = rows["flight_id"].to_pylist() if "flight_id" in rows.column_names else []
            delays = [rows[name] for name in rows.column_names if name.startswith(DELAYS)]
            if gone & set(ids) or any(pc.any(pc.greater(column, 1_000)).as_py() for column in delays):
                found.append(str(path))
    return found


def test_deleting_a_month_of_raw_flights_removes_it_everywhere(ws: Workspace, tmp_path: Path) -> None:
    flights, weather, planes = raw()
    of_march = pc.greater_equal(flights["scheduled_at"], pa.scalar(MARCH, STAMP))
    gone = set(flights.filter(of_march)["flight_id"].to_pylist())
    fill(ws, flights, weather, planes)
    before = online(ws)
    assert len(gone) > 600 and len(on_disk(ws, gone)) >= 4  # raw, two views, training set

    done = features.forget(ws, "flights", [("scheduled_at", ">=", MARCH)], key=["flight_id"])

    assert done.rows.keys == len(gone) and all(table.left == 0 for table in done.rows.tables)
    assert sorted(table.name for table in done.derived.tables) == [
        "features.arrivals",
        "features.congestion",
        "training.late-arrival",
    ]
    assert not done.derived.unreachable
    assert {(view.view, view.how) for view in done.online} == {("congestion", "full"), ("arrivals", "full")}
    assert on_disk(ws, gone) == []

    never = Workspace.open(tmp_path / "never", registry_url="", online_url="")  # a lake that never saw March
    fill(never, flights.filter(pc.invert(of_march)), weather, planes)
    assert online(ws) == online(never) != before
    for name in ("flights", "features.congestion", "features.arrivals", "training.late-arrival"):
        mine, other = (data.table(lake, name) for lake in (ws, never))
        order = [(column, "ascending") for column in other.column_names]
        assert mine.sort_by(order).equals(other.sort_by(order)), name
    again = features.forget(ws, "flights", [("scheduled_at", ">=", MARCH)], key=["flight_id"])
    assert again.rows.keys == 0 and {view.how for view in again.online} <= {"nothing", "full"}
