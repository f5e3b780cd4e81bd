"""The request decoder: what is accepted, and that every refusal names the field and the row."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake.core import InvalidRequest
from raylake.serve.decoder import Decoder
from raylake.serve.fields import Field, kind_of

TYPES = {
    "n": pa.int64(),
    "x": pa.float64(),
    "s": pa.string(),
    "b": pa.bool_(),
    "at": pa.timestamp("us", tz="UTC"),
    "day": pa.date32(),
}
GOOD: dict[str, Any] = {"n": 1, "x": 2.5, "s": "a", "b": True, "at": "2013-07-01T05:15:00-04:00", "day": "2013-07-01"}
FIELDS = [
    *(Field(name, kind_of(dtype), nullable=name == "x") for name, dtype in TYPES.items()),
    Field("temp", kind_of(pa.float64()), required=False, nullable=True, role="override"),
]
DECODER = Decoder(FIELDS, max_rows=100)


def body(*rows: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"rows": list(rows), **more}).encode()


def refusal(payload: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        DECODER.decode(payload)
    return caught.value


def test_each_type_becomes_its_arrow_type() -> None:
    request = DECODER.decode(body(GOOD))
    assert DECODER.table(request.columns).to_pylist() == [
        {
            "n": 1,
            "x": 2.5,
            "s": "a",
            "b": True,
            "at": datetime(2013, 7, 1, 9, 15, tzinfo=UTC),
            "day": date(2013, 7, 1),
        }
    ]
    assert DECODER.table(request.columns).schema == pa.schema(list(TYPES.items()))


def test_rows_and_columns_are_the_same_request() -> None:
    rows = [GOOD, GOOD | {"n": 2}]
    by_columns = {"columns": {name: [row[name] for row in rows] for name in GOOD}}
    assert DECODER.decode(json.dumps(by_columns).encode()) == DECODER.decode(body(*rows))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1.5), ("n", "1"), ("n", True), ("n", 2**63), ("n", -(2**63) - 1), ("n", 2**70), ("n", [1]), ("n", None),
        ("x", "1"), ("x", True), ("x", {}), ("s", 1), ("s", None), ("s", ["a"]), ("b", 1), ("b", "true"), ("b", None),
        ("at", "2013-07-01T05:15:00"), ("at", "2013-07-01"), ("at", "yesterday, at noon"), ("at", 1372655700),
        ("at", None), ("at", "0001-01-01T00:00:00+14:00"), ("at", ""), ("day", "2013-13-01"), ("day", 20130701),
        ("temp", "warm"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("row", [0, 3])
def test_a_wrong_value_is_named_by_field_and_row(name: str, value: Any, row: int) -> None:
    rows = [dict(GOOD) for _ in range(5)]
    rows[row][name] = value
    error = refusal(body(*rows))
    assert (error.field, error.row) == (name, row)
    assert repr(name) in str(error) and "send" in str(error)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_named(name: str) -> None:
    error = refusal(body(GOOD, {key: value for key, value in GOOD.items() if key != name}))
    assert (error.field, error.row) == (name, 1)
    columns = {key: [value] for key, value in GOOD.items() if key != name}
    assert refusal(json.dumps({"columns": columns}).encode()).field == name


def test_an_extra_field_is_named_and_the_known_ones_are_listed() -> None:
    error = refusal(body(GOOD, GOOD | {"dep_delay": 3}))
    assert (error.field, error.row) == ("dep_delay", 1)
    assert "the fields are n, x, s" in str(error)
    assert refusal(json.dumps({"columns": {k: [v] for k, v in GOOD.items()} | {"zz": [1]}}).encode()).field == "zz"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"), (b"{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 5000, "not JSON"),
        (b'{"rows":[{"x":NaN}]}', "not JSON"), (b'{"rows":[{"x":Infinity}]}', "not JSON"),
        (b'{"rows":[{"x":1e999}]}', "not JSON"),
        (b"[]", "not an object"), (b"null", "not an object"), (b'"rows"', "not an object"), (b"3", "not an object"),
        (b"{}", "exactly one of"), (b'{"rows":[],"columns":{}}', "exactly one of"),
        (b'{"rows":[]}', "has 0 rows"), (b'{"rows":{}}', "not a list"), (b'{"rows":null}', "not a list"),
        (b'{"rows":[1]}', "row 0 is 1"), (b'{"rows":[[]]}', "row 0 is []"),
        (b'{"columns":[]}', "not an object"), (b'{"columns":{}}', "missing"),
        (b'{"rows":[{}],"verbose":true}', "unknown part 'verbose'"),
    ],
)  # fmt: skip
def test_a_body_of_another_shape_is_refused(payload: bytes, says: str) -> None:
    assert says in str(refusal(payload))


def test_too_many_rows_and_uneven_columns_are_refused() -> None:
    assert "has 101 rows: send 1 to 100" in str(refusal(body(*[GOOD] * 101)))
    uneven = {"columns": {name: [value] for name, value in GOOD.items()} | {"s": ["a", "b"]}}
    assert refusal(json.dumps(uneven).encode()).field == "s"
    scalar = {"columns": {name: [value] for name, value in GOOD.items()} | {"s": "a"}}
    assert refusal(json.dumps(scalar).encode()).field == "s"


def test_null_is_taken_only_where_it_is_allowed() -> None:
    assert DECODER.decode(body(GOOD | {"x": None}, GOOD)).columns["x"] == [None, 2.5]
    assert refusal(body(GOOD, GOOD | {"n": None})).row == 1


def test_optional_fields_are_null_in_rows_without_them() -> None:
    assert "temp" not in DECODER.decode(body(GOOD)).columns
    assert DECODER.decode(body(GOOD | {"temp": 20}, GOOD)).columns["temp"] == [20.0, None]


def test_ids_are_strings_one_for_each_row_and_unique() -> None:
    assert DECODER.decode(body(GOOD, GOOD, ids=["a", "b"])).ids == ("a", "b")
    for wrong in (["a"], ["a", "a"], ["a", 1], "ab", ["a", ""], ["a", "b" * 300], {}, ["a", None]):
        assert refusal(body(GOOD, GOOD, ids=wrong)).field == "ids"
    assert refusal(body(GOOD, features="yes")).field == "features"


def test_whole_floats_are_integers() -> None:
    assert DECODER.decode(body(GOOD | {"n": 3.0})).columns["n"] == [3]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.one_of(finite, st.integers(-(2**60), 2**60), st.none()), min_size=1, max_size=20))
def test_numbers_survive_exactly(values: list[float | int | None]) -> None:
    request = DECODER.decode(body(*({**GOOD, "x": value} for value in values)))
    table = DECODER.table(request.columns)
    assert table["x"].to_pylist() == [None if value is None else float(value) for value in values]


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), st.integers(-720, 720))
def test_moments_survive_in_any_zone(moment: datetime, offset: int) -> None:
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{moment.isoformat()}{sign}{minutes // 60:02}:{minutes % 60:02}"
    found = DECODER.decode(body(GOOD | {"at": text})).columns["at"][0]
    assert found == datetime.fromisoformat(text) and found.tzinfo is UTC


json_values = st.recursive(
    st.none() | st.booleans() | finite | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@given(st.one_of(json_values, st.fixed_dictionaries({"rows": st.lists(json_values, max_size=3)})))
def test_anything_else_is_refused_and_never_breaks(value: Any) -> None:
    refusal(json.dumps(value).encode())


@given(st.binary(max_size=60))
def test_bytes_never_break_the_decoder(payload: bytes) -> None:
    refusal(payload)


@given(st.sampled_from(sorted(GOOD)), json_values)
def test_a_column_is_typed_or_refused_by_name(name: str, value: Any) -> None:
    try:
        request = DECODER.decode(body(GOOD | {name: value}))
    except InvalidRequest as error:
        assert (error.field, error.row) == (name, 0)
        return
    found = DECODER.table(request.columns)[name][0].as_py()
    assert found is not None or name == "x"
    assert not isinstance(found, float) or math.isfinite(found)
