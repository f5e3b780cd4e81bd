"""Train/serve skew: what is served as it is offline shows none, what is not is found, told and alerted."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from feature_cases import CALENDAR, STAMP, at

from raylake import data, features, registry, serve
from raylake.core import SchemaMismatch, Workspace
from raylake.features import FeatureReader, FeatureSet, FeatureView, Materialiser, Rolling, open_online

TEMP = FeatureView(
    "temp", "origin", event_time="e", table="weather", columns=["temp", "sky"], types={"sky": "string"}, ttl="4h"
)
BUSY = FeatureView("busy", "origin", event_time="e", table="weather", window=Rolling("temp", "3h", "count", "n"))
WANTED = FeatureSet("delay", [TEMP, BUSY, CALENDAR], passthrough=["origin"], event_time="t")


def weather(*rows: tuple[str, float, float | None, str]) -> pa.Table:
    origin, hours, temp, sky = zip(*rows, strict=True)
    moments = pa.array([at(hour) for hour in hours], STAMP)
    return pa.table({"origin": origin, "e": moments, "temp": pa.array(temp, pa.float64()), "sky": sky})


def served(ws: Workspace, hours: list[float], origins: list[str]) -> pa.Table:
    """Requests in the order of time, answered from an online store that follows the clock."""
    parts = []
    with open_online(ws) as store, Materialiser(ws, WANTED, store=store) as feed:
        reader = FeatureReader(store, WANTED)
        for row, (hour, origin) in enumerate(zip(hours, origins, strict=True)):
            feed.advance(at(hour))
            asked = pa.table({"t": pa.array([at(hour)], STAMP), "origin": [origin]})
            found = reader.assemble(asked).append_column("t", asked["t"])
            parts.append(found.append_column("id", pa.array([f"r{row}"])))
    return pa.concat_tables(parts)


@pytest.fixture
def log(ws: Workspace) -> pa.Table:
    data.write(ws, "weather", weather(("EWR", 1, 39.0, "blue"), ("EWR", 2, None, "grey"), ("JFK", 1, 41.0, "blue")))
    return served(ws, [1.5, 2.5, 3, 9], ["EWR", "EWR", "JFK", "XXX"])


def test_what_is_served_as_it_is_offline_shows_no_skew(ws: Workspace, log: pa.Table) -> None:
    found = features.skew(ws, WANTED, log)
    assert (found.rows, found.differing, found.share) == (4, 0, 0.0)
    assert {each.name for each in found.features} == {"temp", "sky", "n", "hour"}
    assert found.sentence == "4 features of 4 rows are online what they are offline"


def test_each_kind_of_difference_is_told(ws: Workspace, log: pa.Table) -> None:
    def put(name: str, values: list[Any]) -> None:
        nonlocal log
        log = log.set_column(log.column_names.index(name), name, pa.array(values, log.schema.field(name).type))

    put("temp", [38.0, 7.0, None, None])  # another number, only online, only offline
    put("sky", ["<blue>", "grey", "blue", None])
    found = features.skew(ws, WANTED, log)
    temp, sky = found.features[:2]
    assert (temp.name, temp.differing, temp.only_online, temp.only_offline, temp.largest) == ("temp", 3, 1, 1, 1.0)
    assert temp.examples == (("r0", 38.0, 39.0), ("r1", 7.0, None), ("r2", None, 41.0))
    assert (sky.name, sky.examples) == ("sky", (("r0", "<blue>", "blue"),))
    assert found.differing == 3 and found.sentence.startswith(
        "3 of 4 rows were served other features than offline: temp in"
    )
    assert "&lt;blue&gt;" in found._repr_html_() and "<blue>" not in found._repr_html_()


def test_late_rows_and_deleted_rows_are_found(ws: Workspace, log: pa.Table) -> None:
    data.write(ws, "weather", weather(("JFK", 2.9, 50.0, "late")))
    late = features.skew(ws, WANTED, log)
    assert {each.name: each.differing for each in late.features} == {"temp": 1, "sky": 1, "n": 1, "hour": 0}
    data.delete(ws, "weather", [("origin", "==", "EWR")])
    assert features.skew(ws, WANTED, log).differing == 3


def test_a_log_that_cannot_be_compared_is_refused(ws: Workspace, log: pa.Table) -> None:
    with pytest.raises(SchemaMismatch, match="hold no feature of delay@"):
        features.skew(ws, WANTED, log.select(["t", "origin", "id"]))
    with pytest.raises(SchemaMismatch, match="'origin' is missing"):
        features.skew(ws, WANTED, log.drop_columns(["origin"]))
    assert features.skew(ws, WANTED, log.slice(0, 0)).rows == 0


def test_an_endpoints_log_is_checked_and_an_alert_raised(ws: Workspace, log: pa.Table) -> None:
    assert serve.check_skew(ws, "delays", WANTED) is None and serve.check_skew(ws, "delays", None) is None
    full = log.append_column("at", log["t"]).append_column("received_at", log["t"])
    data.write(ws, "predictions.delays", full, record=False)
    found = serve.check_skew(ws, "delays", WANTED)
    assert found is not None and found.differing == 0 and registry.alerts(ws) == []
    newest = serve.check_skew(ws, "delays", WANTED, most=2)
    assert newest is not None and newest.rows == 2
    windowed = serve.check_skew(ws, "delays", WANTED, window=(at(2), at(4)))
    assert windowed is not None and windowed.rows == 2
    data.write(ws, "weather", weather(("JFK", 2.9, 50.0, "late")))
    late = serve.check_skew(ws, "delays", WANTED)
    assert late is not None and late.share == 0.25
    (alert,) = registry.alerts(ws)
    assert alert.message == late.sentence and alert.evidence["features"] == {"temp": 1, "sky": 1, "n": 1}
    assert [event.payload["differing"] for event in registry.events(ws, kind="feature-skew")] == [0, 0, 0, 1]


def test_what_keeps_it_from_being_measured_is_an_alert(ws: Workspace, log: pa.Table) -> None:
    full = log.append_column("at", log["t"]).append_column("received_at", log["t"])
    data.write(ws, "predictions.delays", full, record=False)
    gone = FeatureView("gone", "origin", event_time="e", table="gone", columns=["temp"])
    assert serve.check_skew(ws, "delays", FeatureSet("delay", [gone], event_time="t")) is None
    assert "'gone' is not recorded" in registry.alerts(ws)[0].message
    other = FeatureSet("delay", [TEMP], passthrough=["fare"], event_time="t")
    assert serve.check_skew(ws, "delays", other) is None  # logged by a model that asked for other columns
