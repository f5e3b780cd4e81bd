"""The point-in-time join and the windows against brute force."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.core import SchemaMismatch
from raylake.features import rolling
from raylake.features.as_of import join_as_of
from raylake.features.windows import Rolling, roll
from raylake.testing.as_of import as_of_oracle, known_window_oracle, window_oracle

START = datetime(2013, 3, 10, tzinfo=UTC)
STAMP = pa.timestamp("us", tz="UTC")

moments = st.one_of(st.none(), st.integers(-3, 12).map(lambda n: START + timedelta(hours=n)))
strings = st.sampled_from(["EWR", "JFK", "", "ü", None])
integers = st.sampled_from([0, 1, -1, 2**62, None])


def _table(rows: list[dict[str, Any]], types: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], dtype) for name, dtype in types.items()})


@st.composite
def joins(draw: st.DrawFn) -> dict[str, Any]:
    kinds = draw(st.lists(st.sampled_from([("string", strings), ("int64", integers)]), min_size=1, max_size=2))
    keys = {
        f"k{i}": (pa.string() if kind == "string" else pa.int64(), values) for i, (kind, values) in enumerate(kinds)
    }
    cells = {name: values for name, (_, values) in keys.items()}
    label = st.fixed_dictionaries(cells | {"t": moments})
    value = st.fixed_dictionaries(
        cells | {"e": moments, "c": moments, "x": st.one_of(st.none(), st.integers(0, 99)), "s": strings}
    )
    return {
        "labels": draw(st.lists(label, max_size=12)),
        "values": draw(st.lists(value, max_size=20)),
        "types": {name: dtype for name, (dtype, _) in keys.items()},
        "ttl": draw(st.sampled_from([None, timedelta(hours=1), timedelta(hours=3), timedelta(microseconds=1)])),
        "created_time": draw(st.sampled_from([None, "c"])),
    }


@settings(max_examples=300, deadline=None)
@given(joins())
def test_join_equals_brute_force(case: dict[str, Any]) -> None:
    types = case["types"]
    labels = _table(case["labels"], types | {"t": STAMP})
    values = _table(case["values"], types | {"e": STAMP, "c": STAMP, "x": pa.int64(), "s": pa.string()})
    names = {"keys": list(types), "label_time": "t", "event_time": "e", "columns": ["x", "s"]}
    options = {"ttl": case["ttl"], "created_time": case["created_time"]}
    joined = join_as_of(labels, values, **names, **options)
    assert joined.select(labels.column_names).equals(labels)
    expected = [as_of_oracle(label, case["values"], **names, **options) for label in case["labels"]]
    assert joined.select(["x", "s"]).to_pylist() == expected


AGGREGATES = ["mean", "sum", "min", "max", "std", "count", "distinct", "last", "share_above:15"]
cells = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([float("nan"), float("inf"), 15.0, 1.0]))
hours = st.integers(0, 10).map(lambda n: START + timedelta(hours=n))
events = st.fixed_dictionaries(
    {
        "k": st.sampled_from(["a", "b"]),
        "n": st.sampled_from([1, 2]),
        "e": hours,
        "c": st.one_of(st.none(), hours),
        "x": cells,
        "s": st.sampled_from(["yes", "no", None]),
    }
)
TYPES = {"k": pa.string(), "n": pa.int64(), "e": STAMP, "c": STAMP, "x": pa.float64(), "s": pa.string()}


def _windows(over: timedelta) -> list[Rolling]:
    plain = [Rolling("x", over, agg, agg) for agg in AGGREGATES]
    some = [Rolling("x", over, agg, f"{agg} yes", [("s", "==", "yes")]) for agg in ("sum", "count", "last")]
    return [*plain, *some, *(Rolling("s", over, agg, f"s {agg}") for agg in ("count", "distinct", "last"))]


def _expected(window: Rolling) -> dict[str, Any]:
    yes = {"where": lambda row: row["s"] == "yes"} if window.where else {}
    return {"column": window.column, "over": window.span, "agg": window.agg, **yes}


def _close(found: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-6, abs=1e-3))
    return bool(found == expected)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(events, max_size=25), span=st.integers(1, 5))
def test_windows_equal_brute_force(rows: list[dict[str, Any]], span: int) -> None:
    table = _table(rows, TYPES)
    windows = _windows(timedelta(hours=span))
    rolled = roll(table, windows, keys=["k", "n"], event_time="e")
    assert rolled.select(["k", "n", "e", "c", "s"]).equals(table.drop(["x"]))
    for window in windows:
        found = rolled[window.name].to_pylist()
        for row, value in zip(rows, found, strict=True):
            expected = window_oracle(row, rows, keys=["k", "n"], event_time="e", **_expected(window))
            assert _close(value, expected), (window.name, value, expected)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(events, max_size=20),
    labels=st.lists(st.fixed_dictionaries({"k": st.sampled_from(["a", "b"]), "n": st.just(1), "t": hours}), max_size=8),
    span=st.integers(1, 5),
)
def test_windows_over_what_was_known_equal_brute_force(
    rows: list[dict[str, Any]], labels: list[dict[str, Any]], span: int
) -> None:
    windows = _windows(timedelta(hours=span))
    names = {"keys": ["k", "n"], "event_time": "e", "created_time": "c"}
    rolled = roll(_table(rows, TYPES), windows, **names)
    assert rolled.num_rows <= len(rows)
    asked = _table(labels, {"k": pa.string(), "n": pa.int64(), "t": STAMP})
    joined = join_as_of(asked, rolled, label_time="t", columns=[window.name for window in windows], **names)
    for window in windows:
        for label, value in zip(labels, joined[window.name].to_pylist(), strict=True):
            expected = known_window_oracle(label, rows, label_time="t", **names, **_expected(window))
            assert _close(value, expected), (window.name, label, value, expected)


def test_a_backfilled_event_is_not_used_before_it_was_known_even_inside_a_window() -> None:
    rows = [
        {"k": "a", "e": START, "c": START, "x": 10.0},
        {"k": "a", "e": START + timedelta(hours=1), "c": START + timedelta(days=9), "x": 90.0},  # backfilled
        {"k": "a", "e": START + timedelta(hours=2), "c": START + timedelta(hours=2), "x": 20.0},
    ]
    table = _table(rows, {"k": pa.string(), "e": STAMP, "c": STAMP, "x": pa.float64()})
    window = Rolling("x", over="3h", agg="mean", name="mean")
    rolled = roll(table, [window], keys=["k"], event_time="e", created_time="c")
    labels = _table([{"k": "a", "t": START + timedelta(hours=h)} for h in (2, 24 * 10)], {"k": pa.string(), "t": STAMP})
    joined = join_as_of(labels, rolled, keys="k", label_time="t", event_time="e", created_time="c", columns=["mean"])
    assert joined["mean"].to_pylist() == [15.0, 40.0]


@pytest.mark.parametrize("pairs", [1, 7])
def test_rows_that_come_late_are_put_together_in_chunks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    dice = random.Random(1)
    rows = [
        {"k": "ab"[n % 2], "e": START + timedelta(minutes=n), "x": float(n), "c": START + timedelta(minutes=n + late)}
        for n, late in ((n, dice.randrange(60)) for n in range(200))
    ]
    table = _table(rows, {"k": pa.string(), "e": STAMP, "c": STAMP, "x": pa.float64()})
    window = Rolling("x", over="30m", agg="sum", name="sum")
    names = {"keys": ["k"], "event_time": "e", "created_time": "c"}
    whole = roll(table, [window], **names)
    monkeypatch.setattr(rolling, "PAIRS", pairs)
    assert roll(table, [window], **names).equals(whole)


def test_other_time_zones_and_units_are_the_same_moments() -> None:
    labels = pa.table({"k": ["a"], "t": pa.array([START], pa.timestamp("s", tz="America/New_York"))})
    values = pa.table({"k": ["a"], "e": pa.array([START], pa.timestamp("ns", tz="Asia/Tokyo")), "x": [1.0]})
    joined = join_as_of(labels, values, keys="k", label_time="t", event_time="e", columns=["x"])
    assert joined["x"].to_pylist() == [1.0]
    assert joined.schema.field("t").type == pa.timestamp("s", tz="America/New_York")


def test_dictionary_encoded_and_narrow_keys_match_plain_ones() -> None:
    at = pa.array([START], STAMP)
    labels = pa.table({"k": pa.array(["a"]).dictionary_encode(), "n": pa.array([1], pa.int16()), "t": at})
    values = pa.table({"k": pa.array(["a"], pa.large_string()), "n": pa.array([1], pa.uint8()), "e": at, "x": [1.0]})
    joined = join_as_of(labels, values, keys=["k", "n"], label_time="t", event_time="e", columns=["x"])
    assert joined["x"].to_pylist() == [1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_time": "naive"}, "'naive' has no time zone"),
        ({"label_time": "nothing"}, "column 'nothing' is missing"),
        ({"keys": "n"}, "key 'n' is int64 in the labels and string in the values"),
        ({"keys": "f"}, "key 'f' is double"),
        ({"columns": ["k"]}, "labels already have a column 'k'"),
        ({"columns": ["y"]}, "column 'y' is missing"),
        ({"label_time": "n"}, "expected a timestamp"),
    ],
)
def test_a_join_that_cannot_be_right_is_refused(change: dict[str, Any], message: str) -> None:
    at = pa.array([START], STAMP)
    naive = pa.array([START.replace(tzinfo=None)], pa.timestamp("us"))
    labels = pa.table({"k": ["a"], "n": [1], "f": [1.0], "t": at, "naive": naive})
    values = pa.table({"k": ["a"], "n": ["1"], "f": [1.0], "e": at, "x": [1.0]})
    names = {"keys": "k", "label_time": "t", "event_time": "e", "columns": ["x"]} | change
    with pytest.raises(SchemaMismatch, match=message):
        join_as_of(labels, values, **names)
