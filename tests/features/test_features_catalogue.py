"""Registered views: validated against tables, numbered by content, found by what people remember."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from feature_cases import CALENDAR, STAMP, at

from raylake import data, features, registry
from raylake.core import ConfigError, NotFound, SchemaMismatch, Workspace
from raylake.features import Entity, FeatureSet, FeatureView, Rolling
from raylake.features.packing import pack_view, unpack_view

WEATHER = FeatureView(
    "weather",
    "origin",
    event_time="e",
    table="weather",
    columns=["temp"],
    ttl="3h",
    units={"temp": "degrees Fahrenheit"},
    descriptions={"temp": "of the air, two metres up"},
    description="What the tower saw",
    tags={"team": "ops"},
    owner="ann",
)


def join_seats(weather: pa.Table, seats: pa.Table) -> pa.Table:
    """Of two sources one table."""
    return weather.join(seats.select(["origin", "price"]), "origin", join_type="inner")


@pytest.fixture
def lake(ws: Workspace) -> Workspace:
    weather = {"origin": ["A", "B", "A"], "e": pa.array([at(1), at(1), at(2)], STAMP), "temp": [50.0, 60.0, 70.0]}
    data.write(ws, "weather", pa.table(weather | {"sky": ["clear", "fog", "fog"], "naive": [at(1), at(2), at(3)]}))
    data.write(ws, "seats", pa.table({"origin": ["A"], "e": pa.array([at(0)], STAMP), "price": [9.5]}))
    return ws


def test_the_same_content_has_the_same_number_and_what_is_for_people_is_replaced(lake: Workspace) -> None:
    first = features.register(lake, WEATHER)
    other = features.register(lake, replace(WEATHER, ttl="2h"))
    again = features.register(lake, replace(WEATHER, owner="bob"))
    assert [str(one) for one in (first, other, again)] == ["weather@1", "weather@2", "weather@1"]
    assert features.find_view(lake, "weather@1").owner == again.owner == "bob"
    assert features.find_view(lake, f"weather@{other.version}").version == other.version
    assert features.find_view(lake, "weather").version == other.version
    assert [one.number for one in features.view_versions(lake, "weather")] == [1, 2]
    assert first.features == (features.Feature("temp", "float64", "degrees Fahrenheit", "of the air, two metres up"),)


def test_numbers_are_given_once_when_many_register_at_once(lake: Workspace) -> None:
    views = [replace(WEATHER, ttl=f"{hours}h") for hours in range(1, 7)]
    found: list[str] = []
    threads = [threading.Thread(target=lambda v=view: found.append(str(features.register(lake, v)))) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"weather@{number}" for number in range(1, 7)]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"table": "nothing"}, NotFound, "nothing"),
        ({"columns": ["wet"], "units": {}, "descriptions": {}}, SchemaMismatch, "'wet' is missing; there are origin"),
        ({"columns": ["sky"], "units": {}, "descriptions": {}}, SchemaMismatch, "'sky' is string and cannot be"),
        ({"event_time": "temp", "columns": ["sky"], "types": {"sky": "string"}, "units": {}, "descriptions": {}},
         SchemaMismatch, "expected a timestamp"),
        ({"entity": Entity("origin", types={"origin": "int64"})}, SchemaMismatch, "'origin' is string"),
        ({"window": Rolling("sky", "1h")}, SchemaMismatch, "'sky' is string"),
        ({"window": Rolling("temp", "1h", where=[("cloud", "==", 1)])}, SchemaMismatch, "'cloud' is missing"),
        ({"sql": "select * from seats"}, ConfigError, "its sql reads 'seats'"),
    ],
)  # fmt: skip
def test_a_view_that_does_not_fit_its_table_is_not_registered(
    lake: Workspace, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        features.register(lake, replace(WEATHER, **change))
    assert features.search_views(lake) == []


def test_unknown_references_name_what_there_is(lake: Workspace) -> None:
    features.register(lake, WEATHER)
    with pytest.raises(NotFound, match="view 'snow' is not registered; registered are: weather"):
        features.find_view(lake, "snow")
    with pytest.raises(NotFound, match=r"no version '7'; it has 1 \("):
        features.build_view(lake, "weather@7")
    with pytest.raises(NotFound, match="feature-set 'delay' is not registered"):
        features.training_set(lake, "t", labels="weather", label="temp", event_time="e", feature_set="delay@1")


def test_views_are_found_by_word_tag_owner_and_user(lake: Workspace) -> None:
    features.register(lake, WEATHER)
    seats = FeatureView("seats", "origin", event_time="e", table="seats", columns=["price"], owner="bob")
    made = FeatureSet("delay", [WEATHER, CALENDAR])
    labels = pa.table({"origin": ["A"], "t": pa.array([at(3)], STAMP), "late": [True]})
    training = features.training_set(lake, "late", labels=labels, label="late", event_time="t", feature_set=made)
    run = registry.start_run(lake, "fit", "first", inputs=[training.node])
    run = registry.finish_run(lake, run.id, artifact=registry.put_bytes(lake, b"model"))
    registry.register(lake, run, name="flight-delay")
    features.register(lake, seats)
    names = lambda **asked: [one.name for one in features.search_views(lake, **asked)]  # noqa: E731
    assert names() == ["seats", "weather"]
    assert names(words="two METRES fahrenheit") == names(tag="team") == names(tag="team=ops") == ["weather"]
    assert names(owner="bob") == ["seats"] and names(words="weather price") == []
    assert names(used_by="flight-delay") == names(used_by="delay") == names(used_by="late") == ["weather"]
    assert features.find_set(lake, "delay@1").version == training.feature_set.version


def test_a_view_of_several_sources_and_of_another_view(lake: Workspace) -> None:
    query = "select w.*, s.price from weather w join seats s on w.origin = s.origin -- all of them"
    both = FeatureView(
        "both", "origin", event_time="e", table=["weather", "seats"], sql=query, columns=["temp", "price"]
    )
    joined = replace(both, sql="", transform=join_seats)
    hot = FeatureView("hot", "origin", event_time="e", table=both, window=Rolling("temp", "5h", "max", "hot"))
    for view in (both, joined):
        built = features.build_view(lake, view)
        rows = data.table(lake, str(built)).to_pylist()
        assert [(row["temp"], row["price"]) for row in rows] == [(50.0, 9.5), (70.0, 9.5)]
        above = {str(edge.source) for edge in registry.upstream(lake, built.node)}
        assert {"table:main.weather@1", "table:main.seats@1"} <= above
    features.register(lake, hot)
    built = features.build_view(lake, "hot@1")
    assert data.table(lake, str(built))["hot"].to_pylist() == [50.0, 70.0]
    assert str(both.node) in {str(edge.source) for edge in registry.upstream(lake, built.node)}
    assert replace(hot, table=joined).version != hot.version
    assert unpack_view(json.loads(json.dumps(pack_view(hot)))) == hot
    pinned = {"weather": "weather@1"}
    assert features.build_view(lake, both, table_ref=pinned).rows == 2
    with pytest.raises(ConfigError, match="table_ref names 'snow'"):
        features.build_view(lake, both, table_ref={"snow": "weather@1"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": ["weather", "seats"]}, "2 sources: say in sql"),
        ({"table": []}, "names no source"),
        ({"table": WEATHER}, "the name of a view that it is made from"),
        ({"units": {"wet": "mm"}}, "units names 'wet'"),
    ],
)
def test_sources_that_cannot_work_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(WEATHER, **change)


def test_several_entities_name_a_value_together() -> None:
    view = replace(WEATHER, entity=[Entity("airport", ("origin",)), Entity("seat", ("row",), {"row": "int64"})])
    assert view.entity == Entity("airport-seat", ("origin", "row"), {"row": "int64"})


def test_a_set_leaves_features_out_but_functions_may_read_them(lake: Workspace) -> None:
    made = features.define_set(lake, "delay", [WEATHER, replace(CALENDAR, inputs=("t",))], exclude=["temp"])
    assert made.columns == ("hour",) and made.request_columns == ("event_time", "origin", "t")
    assert FeatureSet.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.version != replace(made, exclude=()).version
    with pytest.raises(ConfigError, match="cannot exclude 'wet'"):
        replace(made, exclude=["wet"])
    assert replace(made, exclude=()).without("hour").columns == ("temp",)


def test_values_past_the_retention_of_a_view_go(lake: Workspace) -> None:
    kept = replace(WEATHER, retention="3650d")
    assert kept.version == WEATHER.version
    assert features.build_view(lake, replace(WEATHER, ttl="1h", retention="7d")).rows == 0
    assert data.retention_of(lake, "features.weather").keep == "604800s"
    assert features.build_view(lake, replace(WEATHER, ttl="2h")).rows == 3
    assert data.retention_of(lake, "features.weather").keep == ""


def test_windows_of_text_and_chosen_rows_are_built(lake: Workspace) -> None:
    windows = [
        Rolling("sky", "5h", "last", "sky_now"),
        Rolling("sky", "5h", "distinct", "skies"),
        Rolling("temp", "5h", "max", "foggy", [("sky", "==", "fog")]),
    ]
    view = replace(WEATHER, columns=(), units={}, descriptions={}, window=windows, types={"sky_now": "string"})
    rows = data.table(lake, str(features.build_view(lake, view))).to_pylist()
    assert [(row["origin"], row["sky_now"], row["skies"], row["foggy"]) for row in rows] == [
        ("A", "clear", 1.0, None), ("B", "fog", 1.0, 60.0), ("A", "fog", 2.0, 70.0),
    ]  # fmt: skip
    assert unpack_view(json.loads(json.dumps(pack_view(view)))) == view


def test_a_condition_that_is_none_is_refused() -> None:
    for where in ("sky == fog", [("sky", "==")], [("sky", "~", "fog")], [("sky", "==", None)]):
        with pytest.raises(ConfigError, match="conditions such as"):
            Rolling("temp", "1h", where=where)
