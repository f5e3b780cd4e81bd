"""A month of raw flights goes, and with it all that was made from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raylake import data, features, registry
from raylake.core import NotFound, RaylakeError, Workspace
from raylake.features import FeatureSet, FeatureView
from raylake.flights import CONGESTION, departures_only

FEBRUARY = (datetime(2013, 2, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC))
IN_FEBRUARY = [("scheduled_at", ">=", FEBRUARY[0]), ("scheduled_at", "<", FEBRUARY[1])]
SET = FeatureSet("late", [CONGESTION], passthrough=("origin",), event_time="scheduled_at")


def _flights() -> pa.Table:
    """Three months, a flight an hour, each with a delay that names it."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(hours=hour) for hour in range(24 * 90)]
    delays = [float(hour % 50) for hour in range(len(moments))]
    departed = [moment + timedelta(minutes=delay) for moment, delay in zip(moments, delays, strict=True)]
    return pa.table(
        {
            "flight_id": [f"UA-{hour}" for hour in range(len(moments))],
            "origin": ["EWR", "JFK"] * (len(moments) // 2),
            "scheduled_at": moments,
            "departed_at": departed,
            "dep_delay": delays,
            "late": [int(delay > 15) for delay in delays],
        }
    )


@pytest.fixture
def lake(ws: Workspace) -> Workspace:
    data.write(ws, "flights", _flights())
    return ws


def _train(ws: Workspace, **change: Any) -> features.TrainingSet:
    given = {"labels": "flights", "label": "late", "event_time": "scheduled_at", "feature_set": SET} | change
    return features.training_set(ws, given.pop("name", "late"), **given)


def test_deleting_a_month_of_raw_flights_removes_it_from_views_and_training_sets(lake: Workspace) -> None:
    trained = _train(lake, keep=["flight_id"])
    anonymous = _train(lake, name="anonymous", where=(None, FEBRUARY[1]))
    from_memory = _train(lake, name="memory", labels=data.table(lake, "flights"))
    run = registry.start_run(lake, "fit", "first", inputs=[trained.node])
    run = registry.finish_run(lake, run.id, artifact=registry.put_bytes(lake, b"model"))
    registry.register(lake, run, name="flight-delay")

    data.forget(lake, "flights", IN_FEBRUARY, key=["flight_id"])
    done = features.remake_derived(lake, "flights")

    names = ["features.congestion", "training.anonymous", "training.late"]
    assert sorted(one.name for one in done.tables) == names and all(one.files for one in done.tables)
    assert list(done.unreachable) == ["training.memory"] and "labels in memory" in done.unreachable["training.memory"]
    kept = _flights().filter(pc.invert(_february(_flights()["scheduled_at"])))
    values = data.table(lake, "features.congestion")
    assert values.equals(features.compute_values(CONGESTION, departures_only(kept)))
    assert not pc.any(_february(values["departed_at"], by="2013-02-01T02:00:00Z")).as_py()
    for name, end in (("late", None), ("anonymous", FEBRUARY[1])):
        rows = data.table(lake, f"training.{name}")
        wanted = (
            kept
            if end is None
            else kept.filter(pc.less(kept["scheduled_at"], pa.scalar(end, kept["scheduled_at"].type)))
        )
        assert rows["scheduled_at"].to_pylist() == wanted["scheduled_at"].to_pylist()
    for table in (trained, anonymous):
        with pytest.raises(RaylakeError):
            data.table(lake, str(table.version))
    assert data.table(lake, str(from_memory.version)).num_rows == 24 * 90  # said to be unreachable
    subjects = {str(alert.subject) for alert in registry.alerts(lake)}
    assert {"model:flight-delay@1", "table:main.flights"} <= subjects
    again = features.remake_derived(lake, "flights")  # nothing more to do
    assert [(one.before, one.files) for one in again.tables] == [(one.after, 0) for one in done.tables]


def _february(moments: pa.ChunkedArray, by: str = "") -> pa.ChunkedArray:
    first = datetime.fromisoformat(by) if by else FEBRUARY[0]
    after, before = (pa.scalar(moment, moments.type) for moment in (first, FEBRUARY[1]))
    return pc.and_(pc.greater_equal(moments, after), pc.less(moments, before))


def test_views_of_views_are_remade_and_the_others_are_left_alone(lake: Workspace) -> None:
    worst = FeatureView("worst", "origin", event_time="departed_at", table=CONGESTION, columns=["delay_mean_2h"])
    data.write(lake, "weather", pa.table({"origin": ["EWR"], "at": [FEBRUARY[0]], "temp": [30.0]}))
    other = features.build_view(
        lake, FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
    )
    features.build_view(lake, worst)
    data.delete(lake, "flights", IN_FEBRUARY)
    data.purge(lake, "flights")
    done = features.remake_derived(lake, "flights")
    assert [one.name for one in done.tables] == ["features.congestion", "features.worst"]
    assert data.table(lake, "features.worst").num_rows == data.table(lake, "features.congestion").num_rows
    assert data.table(lake, str(other)).num_rows == 1


def test_what_a_clean_up_removed_is_built_again_when_it_is_asked_for(lake: Workspace) -> None:
    first = features.build_view(lake, CONGESTION)
    trained = _train(lake)
    features.build_view(lake, replace(CONGESTION, ttl="1h"))
    data.purge(lake, "features.congestion")
    again = features.build_view(lake, CONGESTION)
    assert again.version > first.version and data.table(lake, str(again)).num_rows == first.rows
    assert features.build_view(lake, CONGESTION) == again
    assert _train(lake).version.version > trained.version.version  # it is pinned to the view's table


def test_a_table_that_is_not_there_is_refused(lake: Workspace) -> None:
    with pytest.raises(NotFound, match="snow"):
        features.remake_derived(lake, "snow")
