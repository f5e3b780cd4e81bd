"""Offline equals online: replaying time through the online store gives what the point-in-time join gives."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from feature_cases import BUSY, FEATURES, SEATS, STAMP, WEATHER, at
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.core import ConfigError, InvalidRequest, NotFound, StorageError, Workspace
from raylake.features import FeatureReader, FeatureSet, LmdbStore, Materialiser, compute_values, join_features
from raylake.features.codec import ViewCodec
from raylake.features.labels import prepare_labels

origins = st.sampled_from(["EWR", "JFK", "ü" * 200, ""])
hours = st.integers(0, 12)
optional = st.none() | hours.map(at)

readings = st.lists(
    st.fixed_dictionaries(
        {
            "origin": st.none() | origins,
            "e": optional,
            "c": optional,
            "temp": st.sampled_from([None, 1.5, -3.25, 100.0]),
            "sky": st.sampled_from([None, "", "clear", "wölkig"]),
            "ok": st.sampled_from([None, True, False]),
            "code": st.sampled_from([None, 0, -(2**63), 2**63 - 1]),
            "day": st.sampled_from([None, date(1969, 12, 31), date(2013, 1, 1)]),
            "seen": optional,
            "wind": st.sampled_from([None, 0.5, -1.0]),
        }
    ),
    max_size=15,
)
prices = st.lists(
    st.fixed_dictionaries(
        {
            "origin": origins,
            "row": st.sampled_from([None, 1, -1, 2**62]),
            "e": optional,
            "price": st.sampled_from([None, 1.0, float("inf")]),
        }
    ),
    max_size=10,
)
requests = st.lists(
    st.fixed_dictionaries(
        {
            "t": hours.map(at),
            "origin": st.none() | origins,
            "row": st.sampled_from([None, 1, -1, 7]),
            "fare": st.floats(0, 9),
        }
    ),
    min_size=1,
    max_size=10,
)
READING = {
    "origin": pa.string(), "e": STAMP, "c": STAMP, "temp": pa.float64(), "sky": pa.string(), "ok": pa.bool_(),
    "code": pa.int64(), "day": pa.date32(), "seen": STAMP, "wind": pa.float32(),
}  # fmt: skip
PRICE = {"origin": pa.string(), "row": pa.int64(), "e": STAMP, "price": pa.float64()}
REQUEST = {"t": STAMP, "origin": pa.string(), "row": pa.int64(), "fare": pa.float64()}


def table_of(rows: list[dict[str, Any]], types: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], dtype) for name, dtype in types.items()})


@settings(max_examples=150, deadline=None)
@given(readings, prices, requests, st.data())
def test_online_replay_equals_the_offline_join(
    readings: list[dict[str, Any]], prices: list[dict[str, Any]], asked: list[dict[str, Any]], draw: st.DataObject
) -> None:
    weather = table_of(readings, READING)
    values = {
        "weather": compute_values(WEATHER, weather),
        "seats": compute_values(SEATS, table_of(prices, PRICE)),
        "busy": compute_values(BUSY, weather),
    }
    asked = sorted(asked, key=lambda row: row["t"])
    frame, bound = prepare_labels(
        table_of(asked, REQUEST).append_column("late", pa.array([True] * len(asked))),
        FEATURES,
        label="late",
        event_time="t",
    )
    offline = join_features(frame, bound, values).select(bound.columns)
    with tempfile.TemporaryDirectory() as folder, LmdbStore(folder) as store:
        materialiser = Materialiser(Workspace.open(folder), bound, values, store=store)
        reader = FeatureReader(store, bound)
        for index, row in enumerate(asked):
            for step in sorted(draw.draw(st.lists(st.floats(0, 1), max_size=2))):  # advances in between change nothing
                earlier = asked[index - 1]["t"] if index else at(-1)
                materialiser.advance(earlier + (row["t"] - earlier) * step)
            materialiser.advance(row["t"])
            online = reader.assemble(table_of([row], REQUEST))
            assert online.equals(offline.slice(index, 1)), (
                index,
                online.to_pylist(),
                offline.slice(index, 1).to_pylist(),
            )


@settings(max_examples=100, deadline=None)
@given(readings, st.lists(hours, min_size=1, max_size=5))
def test_however_often_and_in_whatever_order_it_is_materialised_the_newest_value_stays(
    readings: list[dict[str, Any]], stops: list[int]
) -> None:
    values = {"weather": compute_values(WEATHER, table_of(readings, READING))}
    with tempfile.TemporaryDirectory() as folder, LmdbStore(folder) as store:
        ws = Workspace.open(folder)
        for stop in stops:
            Materialiser(ws, WEATHER, values, store=store).advance(at(stop))
        again = LmdbStore(f"{folder}/again")
        Materialiser(ws, WEATHER, values, store=again).advance(at(max(stops)))
        keys = [ViewCodec(WEATHER).key((origin,)) for origin in ("EWR", "JFK", "ü" * 200, "")]
        assert store.get_many(keys) == again.get_many(keys)
        again.close()


@settings(max_examples=100, deadline=None)
@given(readings, prices)
def test_packing_many_keys_equals_packing_one(readings: list[dict[str, Any]], prices: list[dict[str, Any]]) -> None:
    for view, table in ((WEATHER, table_of(readings, READING)), (SEATS, table_of(prices, PRICE))):
        values = compute_values(view, table)
        columns = [values[key] for key in view.entity.keys]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        codec = ViewCodec(view)
        assert codec.pack_keys(columns).to_pylist() == [codec.key(row) for row in rows]


def test_advance_is_incremental_and_never_goes_back(ws: Workspace) -> None:
    rows = [{"origin": "EWR", "row": 1, "e": at(h), "price": float(h)} for h in (1, 2, 5)]
    values = {"seats": compute_values(SEATS, table_of(rows, PRICE))}
    with Materialiser(ws, SEATS, values) as materialiser:
        assert [materialiser.advance(at(h)) for h in (0, 3, 3, 2)] == [0, 1, 0, 0]
        assert materialiser.known_until == at(5)
        assert materialiser.finish() == 1
    with Materialiser(ws, SEATS, values, since=at(2)) as later:
        assert later.advance(at(3)) == 0


def test_a_failed_write_is_tried_again(ws: Workspace, tmp_path: Any) -> None:
    rows = [{"origin": "EWR", "row": 1, "e": at(1), "price": 1.0}]
    store = LmdbStore(str(tmp_path / "store"))
    materialiser = Materialiser(ws, SEATS, {"seats": compute_values(SEATS, table_of(rows, PRICE))}, store=store)
    store.close()
    with pytest.raises(StorageError):
        materialiser.advance(at(2))
    materialiser._store = LmdbStore(str(tmp_path / "store"))
    assert materialiser.advance(at(2)) == 1
    materialiser.close()


def test_materialiser_refuses_what_it_does_not_know(ws: Workspace) -> None:
    empty = table_of([], PRICE)
    with pytest.raises(ConfigError, match="'other'"):
        Materialiser(ws, SEATS, {"seats": empty, "other": empty})
    with pytest.raises(NotFound, match="seats"):
        Materialiser(ws, SEATS)
    with Materialiser(ws, SEATS, {"seats": empty}) as materialiser, pytest.raises(ConfigError, match="no time zone"):
        materialiser.advance(at(1).replace(tzinfo=None))


@pytest.fixture
def reader(tmp_path: Any) -> Any:
    rows = [{"origin": "EWR", "row": 1, "e": at(1), "price": 5.0}]
    with LmdbStore(str(tmp_path / "store")) as store:
        values = {"seats": compute_values(SEATS, table_of(rows, PRICE))}
        Materialiser(Workspace.open(tmp_path), SEATS, values, store=store).finish()
        yield FeatureReader(
            store, FeatureSet("f", [SEATS], passthrough=["fare"], event_time="t", types={"fare": "float64"})
        )


ROW = {"t": at(2), "origin": "EWR", "row": 1, "fare": 3.0}


def test_a_value_later_than_the_request_is_not_used(reader: FeatureReader) -> None:
    rows = [ROW, ROW | {"t": at(0)}, ROW | {"t": at(1)}, ROW | {"row": 2}]
    assert reader.assemble(table_of(rows, REQUEST))["price"].to_pylist() == [5.0, None, 5.0, None]


def test_given_feature_columns_win_where_they_are_not_null(reader: FeatureReader) -> None:
    rows = table_of([ROW, ROW], REQUEST).append_column("price", pa.array([9, None]))
    made = reader.assemble(rows.append_column("unknown", pa.array([1, 2])))
    assert made.to_pydict() == {"fare": [3.0, 3.0], "price": [9.0, 5.0]}


def test_no_rows_are_no_rows(reader: FeatureReader) -> None:
    made = reader.assemble(table_of([], REQUEST))
    assert made.num_rows == 0 and made.column_names == ["fare", "price"]


def test_chunked_rows_and_other_units_are_fine(reader: FeatureReader) -> None:
    rows = table_of([ROW], REQUEST)
    rows = rows.set_column(0, "t", rows["t"].cast(pa.timestamp("s", "America/New_York")))
    both = pa.concat_tables([rows, rows.slice(0, 0), rows])
    assert reader.assemble(both)["price"].to_pylist() == [5.0, 5.0]


@pytest.mark.parametrize(
    ("field", "column", "message"),
    [
        ("origin", None, "'origin' is missing"),
        ("fare", None, "'fare' is missing"),
        ("t", None, "'t' is missing"),
        ("row", pa.array(["1"]), "'row' is string"),
        ("origin", pa.array([1]), "'origin' is int64"),
        ("t", pa.array([at(1).replace(tzinfo=None)]), "no time zone"),
        ("t", pa.array([None], STAMP), "null in row 0"),
        ("t", pa.array(["2013-01-01"]), "expected a timestamp"),
        ("fare", pa.array(["x"]), "'fare' is string"),
    ],
)
def test_a_bad_request_names_its_field(reader: FeatureReader, field: str, column: Any, message: str) -> None:
    rows = table_of([ROW], REQUEST)
    rows = rows.drop([field]) if column is None else rows.set_column(rows.column_names.index(field), field, column)
    with pytest.raises(InvalidRequest, match=message) as caught:
        reader.assemble(rows)
    assert caught.value.field == field


def test_check_names_a_view_that_was_never_materialised(reader: FeatureReader, ws: Workspace) -> None:
    reader.check()
    with LmdbStore(ws.online_url.removeprefix("lmdb:")) as empty, pytest.raises(NotFound, match="'seats'"):
        FeatureReader(empty, reader.feature_set).check()


def test_ttl_counts_from_the_event(ws: Workspace) -> None:
    row = dict.fromkeys(READING) | {"origin": "EWR", "e": at(0), "temp": 1.0}
    limit = timedelta(hours=3)
    with LmdbStore(ws.online_url.removeprefix("lmdb:")) as store:
        Materialiser(ws, WEATHER, {"weather": compute_values(WEATHER, table_of([row], READING))}, store=store).finish()
        reader = FeatureReader(store, FeatureSet("f", [WEATHER], event_time="t"))
        asked = [at(0) + limit, at(0) + limit + timedelta(microseconds=1)]
        made = reader.assemble(pa.table({"t": pa.array(asked, STAMP), "origin": ["EWR", "EWR"]}))
        assert made["temp"].to_pylist() == [1.0, None]
