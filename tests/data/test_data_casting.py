"""Text to types against plain Python, cell by cell; discovery."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.data.arrow_types import UTC_MICROSECONDS
from raylake.data.casting import cast_column
from raylake.data.discovery import discover_schema

LIMIT = 2**63


def as_int(text: str) -> int | None:
    digits = text.strip(" \t").lstrip("+-")
    if not (digits.isascii() and digits.isdigit()) or len(text.strip(" \t")) - len(digits) > 1 or len(digits) > 19:
        return None
    value = int(text)
    return value if -LIMIT <= value < LIMIT else None


texts = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-50, 50).map(lambda n: f" +{n}" if n > 0 else f"{n} "),
    st.sampled_from(
        ["", "x", "1.5", "0x1F", "--1", "+-1", "-+1", "1e3", "9223372036854775807", "9223372036854775808", "+", "１"]
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), texts), max_size=30))
def test_integers_match_python_cell_by_cell(cells: list[str | None]) -> None:
    column = pa.chunked_array([pa.array(cells, pa.string())])
    values, bad = cast_column(column, pa.int64())
    expected = [None if cell is None else as_int(cell) for cell in cells]
    assert values.to_pylist() == expected
    wrong = [cell is not None and value is None for cell, value in zip(cells, expected, strict=True)]
    assert (bad.to_pylist() if bad is not None else [False] * len(cells)) == wrong


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(allow_nan=False), st.sampled_from(["", "x", "1,5", "--1"])), max_size=20))
def test_floats_round_trip_and_text_is_found(cells: list[float | str]) -> None:
    column = pa.chunked_array(
        [pa.array([cell if isinstance(cell, str) else repr(cell) for cell in cells], pa.string())]
    )
    values, bad = cast_column(column, pa.float64())
    assert values.to_pylist() == [None if isinstance(cell, str) else cell for cell in cells]
    found = bad.to_pylist() if bad is not None else [False] * len(cells)
    assert found == [isinstance(cell, str) for cell in cells]


def test_times_with_and_without_zone_are_utc() -> None:
    cells = ["2013-01-01T10:00:00Z", "2013-01-01 10:00", "2013-01-01T12:00:00.5+02:00", "soon", "2013-02-30", None]
    values, bad = cast_column(pa.chunked_array([cells]), UTC_MICROSECONDS)
    ten = datetime(2013, 1, 1, 10, tzinfo=UTC)
    assert values.to_pylist() == [ten, ten, ten.replace(microsecond=500_000), None, None, None]
    assert bad is not None and bad.to_pylist() == [False, False, False, True, True, False]


def test_truth_and_dates() -> None:
    values, bad = cast_column(pa.chunked_array([["true", "FALSE", "1", "maybe"]]), pa.bool_())
    assert values.to_pylist() == [True, False, True, None] and bad is not None and bad.to_pylist()[-1]
    days, wrong = cast_column(pa.chunked_array([["2013-01-31", "31.1.2013"]]), pa.date32())
    assert str(days[0]) == "2013-01-31" and wrong is not None and wrong.to_pylist() == [False, True]


def test_other_types_that_do_not_fit_are_found_too() -> None:
    values, bad = cast_column(pa.chunked_array([[1.0, 1.5, None]]), pa.int64())
    assert values.to_pylist() == [1, None, None]
    assert bad is not None and bad.to_pylist() == [False, True, False]


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["1", "-2", "NA"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["true", "False"], pa.bool_()),
        (["0", "1"], pa.int64()),
        (["00501", "10001"], pa.string()),
        (["2013-01-01", ""], pa.date32()),
        (["2013-01-01 10:00:00", "2013-01-01"], UTC_MICROSECONDS),
        (["", "NA"], pa.string()),
        (["12x", "1"], pa.string()),
        (["0.5", "-0.25"], pa.float64()),
    ],
)
def test_discovery(cells: list[str], found: pa.DataType) -> None:
    assert discover_schema(pa.table({"c": cells}), ("", "NA")).field("c").type == found
