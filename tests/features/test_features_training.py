"""Views and training sets as tables: pinned, versioned, with lineage, and nothing lost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from feature_cases import CALENDAR, STAMP, at, rank_of_rows, warm

from raylake import data, registry
from raylake.core import ConfigError, NotFound, SchemaMismatch, Workspace
from raylake.features import (
    Entity,
    FeatureReader,
    FeatureSet,
    FeatureView,
    OnDemand,
    Rolling,
    build,
    build_view,
    drop_view,
    materialise,
    open_online,
    partitions,
    training,
    training_ray,
    training_set,
)
from raylake.testing.as_of import as_of_oracle, window_oracle

WEATHER = FeatureView("weather", "origin", event_time="e", table="weather", columns=["temp"], transform=warm, ttl="3h")
BUSY = FeatureView(
    "busy",
    "origin",
    event_time="departed",
    table="flights",
    window=Rolling("delay", "2h", "mean", name="busy"),
    ttl="2h",
)
FEATURES = FeatureSet("delay", [WEATHER, BUSY, CALENDAR], passthrough=["origin", "fare"])


def fares(table: pa.Table) -> pa.Table:
    """A fare for every second flight."""
    even = table.filter(pc.equal(pc.bit_wise_and(table["id"], 1), 0))
    return even.append_column("was", even["fare"])


@pytest.fixture
def lake(ws: Workspace) -> Workspace:
    dice = random.Random(7)
    weather = [(dice.choice("AB"), at(dice.randrange(48)), float(dice.randrange(100))) for _ in range(60)]
    data.write(ws, "weather", _table(weather, {"origin": pa.string(), "e": STAMP, "temp": pa.float64()}))
    flights = []
    for number in range(200):
        planned = at(dice.randrange(48 * 4) / 4)
        delay = dice.choice([None, -5.0, 0.0, 20.0, 90.0])
        departed = None if delay is None else planned + timedelta(minutes=delay)
        flights.append((number, dice.choice(["A", "B", "C", None]), planned, delay, departed, 9.5, dice.random() < 0.3))
    types = {"id": pa.int64(), "origin": pa.string(), "t": STAMP, "delay": pa.float64(), "departed": STAMP}
    data.write(ws, "flights", _table(flights, types | {"fare": pa.float64(), "late": pa.bool_()}))
    return ws


def _table(rows: list[tuple[Any, ...]], types: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({n: pa.array([row[i] for row in rows], t) for i, (n, t) in enumerate(types.items())})


def _make(ws: Workspace, **change: Any) -> Any:
    given: dict[str, Any] = {"labels": "flights", "label": "late", "event_time": "t", "feature_set": FEATURES}
    return training_set(ws, change.pop("name", "delays"), **(given | {"keep": ["id"]} | change))


def test_a_view_is_built_once_per_source_version(lake: Workspace) -> None:
    first = build_view(lake, WEATHER)
    assert build_view(lake, WEATHER) == first and first.name == "features.weather"
    colder = replace(WEATHER, transform=None)
    assert build_view(lake, colder).version > first.version
    assert build_view(lake, WEATHER) == first
    more = _table([("A", at(50), 1.0)], {"origin": pa.string(), "e": STAMP, "temp": pa.float64()})
    data.write(lake, "weather", more)
    newest = build_view(lake, WEATHER)
    assert newest.rows == (first.rows or 0) + 1
    assert build_view(lake, WEATHER, table_ref="weather@1").rows in (first.rows, newest.rows)


def test_lineage_leads_from_the_source_and_the_definition_to_the_view(lake: Workspace) -> None:
    built = build_view(lake, WEATHER)
    sources = {str(edge.source) for edge in registry.upstream(lake, built.node)}
    weather = registry.table_version(lake, "weather")
    assert {str(weather.node), str(WEATHER.node)} <= sources


def test_every_label_is_there_in_order_with_what_was_known_at_its_time(lake: Workspace) -> None:
    made = _make(lake)
    labels = data.table(lake, "flights").to_pylist()
    rows = data.table(lake, str(made.version)).to_pylist()
    assert [row["id"] for row in rows] == [label["id"] for label in labels]
    assert made.columns == ("origin", "fare", "temp", "busy", "hour")
    # Of rows of one origin and time the one holds whose values sort last, wherever it lies in the table.
    weather = sorted(data.table(lake, "weather").to_pylist(), key=lambda row: row["temp"])
    departures = [row for row in labels if row["departed"] is not None and row["origin"] is not None]
    names = {"event_time": "departed", "column": "delay", "over": timedelta(hours=2), "agg": "mean"}
    busy = [row | {"busy": window_oracle(row, departures, keys=["origin"], **names)} for row in departures]
    for label, row in zip(labels, rows, strict=True):
        asked = {"keys": ["origin"], "label_time": "t"}
        cold = as_of_oracle(label, weather, **asked, event_time="e", columns=["temp"], ttl=WEATHER.ttl)["temp"]
        assert row["temp"] == (None if cold is None else pytest.approx((cold - 32) / 1.8))
        known = as_of_oracle(label, busy, **asked, event_time="departed", columns=["busy"], ttl=BUSY.ttl)["busy"]
        assert row["busy"] == (None if known is None else pytest.approx(known))
        assert row["late"] == label["late"] and row["hour"] == label["t"].hour


def test_a_later_flight_or_its_own_delay_never_changes_a_row(lake: Workspace) -> None:
    """Everything from the 24th hour on is replaced by other values; rows before stay as they were."""
    before = data.table(lake, str(_make(lake).version))
    flights = data.table(lake, "flights").to_pylist()
    for row in flights:
        if row["departed"] is not None and row["departed"] >= at(24):
            row |= {"delay": 999.0}
    weather = [row | {"temp": -1.0} if row["e"] >= at(24) else row for row in data.table(lake, "weather").to_pylist()]
    for name, changed in (("flights", flights), ("weather", weather)):
        schema = data.table(lake, name).schema
        data.write(lake, name, pa.Table.from_pylist(changed, schema=schema), mode="overwrite")
    after = data.table(lake, str(_make(lake).version))
    early = [moment < at(24) for moment in before["t"].to_pylist()]
    assert before.filter(early).equals(after.filter(early))
    assert not before.equals(after)


def test_a_training_set_is_pinned_described_and_written_once(lake: Workspace) -> None:
    made = _make(lake)
    assert _make(lake).version == made.version
    assert _make(lake, where=(at(3), None)).version != made.version
    flights, weather = (registry.table_version(lake, name) for name in ("flights", "weather"))
    sources = {str(edge.source) for edge in registry.upstream(lake, made.node)}
    assert {str(node) for node in made.inputs} <= sources
    assert {str(flights.node), str(weather.node), str(WEATHER.node), str(made.feature_set.node)} <= sources
    assert made.feature_set.request_types["fare"] == "float64" and made.feature_set.event_time == "t"
    assert FeatureSet.from_dict(json.loads(json.dumps(made.feature_set.to_dict()))) == made.feature_set


def test_pinned_views_are_taken_as_given(lake: Workspace) -> None:
    old = build_view(lake, WEATHER)
    data.write(lake, "weather", data.table(lake, "weather").slice(0, 0), mode="overwrite")
    made = _make(lake, views={"weather": old})
    assert old.node in made.inputs
    assert data.table(lake, str(made.version))["temp"].null_count < 200


def test_where_is_half_open(lake: Workspace) -> None:
    made = _make(lake, labels=data.table(lake, "flights"), where=(at(10), at(12)))
    moments = data.table(lake, str(made.version))["t"].to_pylist()
    expected = [moment for moment in data.table(lake, "flights")["t"].to_pylist() if at(10) <= moment < at(12)]
    assert moments == expected and expected


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": "nothing"}, NotFound, "nothing"),
        ({"label": "delays"}, SchemaMismatch, "'delays' is missing"),
        ({"event_time": "when"}, SchemaMismatch, "'when'"),
        ({"event_time": "delay"}, SchemaMismatch, "expected a timestamp"),
        ({"event_time": "departed"}, SchemaMismatch, "'departed' is null in"),
        ({"label": "fare"}, ConfigError, "'fare' of the labels is a feature"),
        ({"views": {"other": None}}, ConfigError, "'other'"),
        ({"where": (at(1).replace(tzinfo=None), None)}, ConfigError, "no time zone"),
        (
            {"feature_set": FeatureSet("x", [OnDemand("r", ["t"], rank_of_rows, ["hour"])])},
            SchemaMismatch,
            "row itself",
        ),
        ({"feature_set": FeatureSet("x", [replace(WEATHER, table="none")])}, NotFound, "none"),
        ({"feature_set": FeatureSet("x", [replace(WEATHER, columns=["wet"])])}, SchemaMismatch, "'wet' is missing"),
        ({"feature_set": FeatureSet("x", [replace(WEATHER, entity="id", transform=None)])}, SchemaMismatch, "'id'"),
    ],
)
def test_a_training_set_that_cannot_be_right_is_refused(
    lake: Workspace, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _make(lake, **change)


def test_materialise_serves_what_was_trained_on(lake: Workspace) -> None:
    made = _make(lake)
    rows = data.table(lake, str(made.version))
    assert materialise(lake, made.feature_set, until=at(24)) > 0
    with open_online(lake) as store:
        reader = FeatureReader(store, made.feature_set)
        reader.check()
        for index, moment in enumerate(rows["t"].to_pylist()):
            if moment == at(24):
                one = rows.slice(index, 1)
                assert reader.assemble(one.select(["t", "origin", "fare"])).equals(one.select(made.columns))
    assert materialise(lake, WEATHER, until=at(24)) > 0
    assert drop_view(lake, WEATHER) > 0 and drop_view(lake, WEATHER) == 0


def _write_in_files(ws: Workspace, name: str, parts: int) -> None:
    """The same rows in the same order, but in several files."""
    rows = data.table(ws, name)
    size = -(-rows.num_rows // parts)
    for index in range(parts):
        data.write(ws, name, rows.slice(index * size, size), mode="append" if index else "overwrite")


def test_ray_gives_the_same_rows_in_the_same_order(lake: Workspace, ray_cluster: None, monkeypatch: Any) -> None:
    _write_in_files(lake, "flights", 3)
    _write_in_files(lake, "weather", 2)
    same_keys = replace(WEATHER, name="again", transform=None, ttl=None, columns=["hot"], window=Rolling("temp", "9h"))
    other_keys = FeatureView("fares", "id", event_time="t", table="flights", columns=["was"], transform=fares)
    other_keys = replace(other_keys, entity=Entity("id", types={"id": "int64"}))
    same_keys = replace(same_keys, columns=())
    features = FeatureSet("delay", [WEATHER, other_keys, BUSY, same_keys, CALENDAR], passthrough=["origin", "fare"])
    expected = data.table(lake, str(_make(lake, feature_set=features, where=(at(3), at(40)), engine="process").version))
    monkeypatch.setattr(partitions, "PARTITION_BYTES", 4000)
    by_ray = _make(lake, name="by-ray", feature_set=features, where=(at(3), at(40)), engine="ray")
    found = data.table(lake, str(by_ray.version))
    assert found.equals(expected) and found["was"].null_count < found.num_rows
    monkeypatch.setattr(training_ray, "IN_PROCESS_BYTES", 100)
    monkeypatch.setattr(training_ray, "BLOCK_ROWS", 70)
    monkeypatch.setattr(training, "join_features", None)
    in_memory = _make(lake, name="rows", labels=data.table(lake, "flights"), feature_set=features)
    assert data.table(lake, str(in_memory.version)).num_rows == 200
    with pytest.raises(ConfigError, match="engine 'spark'"):
        _make(lake, engine="spark")
    with pytest.raises(SchemaMismatch, match="'departed' is null in"):
        _make(lake, event_time="departed", name="null", engine="ray")


def test_the_same_question_is_not_computed_twice(lake: Workspace, monkeypatch: Any) -> None:
    made = _make(lake)
    monkeypatch.setattr(training, "join_features", None)
    monkeypatch.setattr(build, "compute_values", None)
    assert _make(lake) == made
