"""Summaries of parts merge into the summary of the whole, and agree with numpy, scipy and plain counting."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from raylake.data.summary import (
    ColumnSummary,
    Comoments,
    Distinct,
    Frequent,
    Numbers,
    summarise,
    summarise_column,
)
from raylake.data.summary.frequent import CAPACITY
from raylake.data.summary.hashing import hash_values

floats = st.floats(-1e6, 1e6, allow_subnormal=False)
HASHES_OF_TEXT = ["0x0", "0x3e630ad8c4336198", "0x221fd484852d16fe"]
HASHES_OF_NUMBERS = ["0x0", "0x5692161d100b05e5", "0xb4d055fcf2cbbd7b"]
columns = st.lists(st.one_of(st.none(), floats, st.just(math.nan)), max_size=60)


def _numbers(values: list[float]) -> Numbers:
    return Numbers.of(np.array(values, dtype=np.float64))


@given(st.lists(floats, max_size=50), st.lists(floats, max_size=50), st.lists(floats, max_size=50))
def test_moments_merge_in_any_grouping(one: list[float], two: list[float], three: list[float]) -> None:
    whole = _numbers(one + two + three)
    for merged in (
        _numbers(one).merge(_numbers(two)).merge(_numbers(three)),
        _numbers(one).merge(_numbers(two).merge(_numbers(three))),
        _numbers(three).merge(_numbers(one + two)),
    ):
        assert (merged.count, merged.low, merged.high) == (whole.count, whole.low, whole.high)
        assert (merged.zeros, merged.negative) == (whole.zeros, whole.negative)
        scale = max(1.0, abs(whole.low), abs(whole.high)) if whole.count else 1.0
        for power, name in ((1, "mean"), (2, "m2"), (3, "m3"), (4, "m4")):
            rough = 1e-9 * scale**power * max(1, whole.count)
            assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=rough), name


def test_figures_agree_with_scipy() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=50_000)
    found = Numbers.of(values[:10_000]).merge(Numbers.of(values[10_000:]))
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_deviation == pytest.approx(values.std(ddof=1))
    assert found.skewness == pytest.approx(scipy.stats.skew(values))
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(values))
    shares = [0.01, 0.25, 0.5, 0.75, 0.99]
    ranks = scipy.stats.percentileofscore(values, found.quantiles(shares)) / 100
    assert ranks == pytest.approx(shares, abs=0.01)
    assert found.share_below([1.0, 2.0]) == pytest.approx([(values <= 1).mean(), (values <= 2).mean()], abs=0.01)


def test_a_constant_far_from_zero_has_no_shape() -> None:
    found = _numbers([1e9 + 0.1] * 100)
    assert math.isnan(found.skewness) and math.isnan(found.kurtosis)
    assert found.standard_deviation == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("count", [0, 1, 10, 900, 5_000, 100_000, 3_000_000])
def test_distinct_is_within_four_standard_errors(count: int) -> None:
    values = np.random.default_rng(count).integers(0, 1 << 62, size=count)
    hashes = hash_values(pa.array(values))
    found = Distinct.of(np.concatenate([hashes, hashes[: count // 2]])).estimate()
    assert abs(found - count) <= max(1, 4 * 0.0163 * count)


def test_distinct_merges_as_a_union() -> None:
    hashes = hash_values(pa.array(range(50_000)))
    one, two = Distinct.of(hashes[:30_000]), Distinct.of(hashes[20_000:])
    assert np.array_equal(one.merge(two).registers, Distinct.of(hashes).registers)


@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=40), st.data())
def test_hash_of_text_does_not_depend_on_its_neighbours(values: list[str | None], data: st.DataObject) -> None:
    array = pa.array(values, pa.string())
    alone = [int(hash_values(pa.array([value]))[0]) for value in values if value is not None]
    assert hash_values(array).tolist() == alone
    start = data.draw(st.integers(0, len(values)))
    kept = [value for value in values[start:] if value is not None]
    assert hash_values(array.slice(start)).tolist() == alone[len(alone) - len(kept) :]
    assert len(set(alone)) == len({value for value in values if value is not None})


def test_hashes_are_what_they_were() -> None:
    """Stored summaries merge with new ones only while the hash stays the same."""
    assert [hex(int(h)) for h in hash_values(pa.array(["", "EWR", "Zürich"]))] == HASHES_OF_TEXT
    assert [hex(int(h)) for h in hash_values(pa.array([0, 1, -1]))] == HASHES_OF_NUMBERS
    same = (pa.array([1], pa.int8()), pa.array([1], pa.uint64()))
    assert {int(hash_values(array)[0]) for array in same} == {int(HASHES_OF_NUMBERS[1], 16)}
    assert hash_values(pa.array([0.0])).tolist() == hash_values(pa.array([-0.0], pa.float32())).tolist()


@given(st.lists(st.lists(st.integers(0, 30), max_size=80), min_size=1, max_size=5))
def test_frequent_is_exact_while_everything_fits(parts: list[list[int]]) -> None:
    merged = Frequent.of(pa.array(parts[0], pa.int64()))
    for part in parts[1:]:
        merged = merged.merge(Frequent.of(pa.array(part, pa.int64())))
    expected = sorted(Counter(value for part in parts for value in part).items(), key=lambda item: (-item[1], item[0]))
    assert merged.complete and merged.top(100) == expected


def test_frequent_keeps_the_promise_of_its_error() -> None:
    random = np.random.default_rng(3)
    parts = [random.zipf(1.3, size=20_000).clip(max=10**9) for _ in range(4)]
    merged = Frequent.of(pa.array(parts[0]))
    for part in parts[1:]:
        merged = merged.merge(Frequent.of(pa.array(part)))
    true = Counter(np.concatenate(parts).tolist())
    assert not merged.complete and 0 < merged.error <= 80_000 / CAPACITY * 2
    found = dict(merged.top(CAPACITY))
    assert all(count <= true[value] <= count + merged.error for value, count in found.items())
    assert all(count <= merged.error for value, count in true.items() if value not in found)


@given(columns, columns)
def test_columns_of_parts_merge_into_the_whole(one: list[float | None], two: list[float | None]) -> None:
    parts = [summarise_column("x", pa.array(part, pa.float64(), from_pandas=False)) for part in (one, two)]
    whole = summarise_column("x", pa.array(one + two, pa.float64(), from_pandas=False))
    merged = parts[0].merge(parts[1])
    assert (merged.rows, merged.nulls, merged.nans) == (whole.rows, whole.nulls, whole.nans)
    assert merged.distinct_values == whole.distinct_values
    assert np.array_equal(merged.distinct.registers, whole.distinct.registers)


def test_correlations_agree_with_numpy_pair_by_pair() -> None:
    random = np.random.default_rng(5)
    values = random.normal(size=(3, 2_000)) + 1e6
    values[1] += 0.7 * values[0]
    values[2, random.random(2_000) < 0.3] = np.nan
    named = dict(zip("abc", values, strict=True))
    found = Comoments.of({key: value[:700] for key, value in named.items()})
    found = found.merge(Comoments.of({key: value[700:] for key, value in named.items()})).correlations()
    for i in range(3):
        for j in range(3):
            both = np.isfinite(values[i]) & np.isfinite(values[j])
            assert found[i, j] == pytest.approx(np.corrcoef(values[i][both], values[j][both])[0, 1], abs=1e-6)


def test_correlation_of_a_constant_is_unknown() -> None:
    found = Comoments.of({"a": np.array([1.0, 2.0]), "b": np.array([5.0, 5.0])}).correlations()
    assert math.isnan(found[0, 1]) and found[0, 0] == 1.0


@pytest.mark.parametrize(
    ("values", "kind", "distinct"),
    [
        (pa.array([True, False, None]), "boolean", 2),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "text", 2),
        (pa.array([datetime(2013, 1, 1, tzinfo=UTC)] * 3), "time", 1),
        (pa.array([[1], [1], [2]]), "other", 2),
        (pa.array([{"a": 1}, None]), "other", 1),
        (pa.array([b"x", b"y"]), "other", 2),
        (pa.array([None, None]), "other", 0),
        (pa.array([], pa.int64()), "number", 0),
        (pa.array([1, 2**63 - 1], pa.int64()), "number", 2),
        (pa.array([math.inf, 1.0]), "number", 2),
    ],
)
def test_every_type_has_a_summary(values: pa.Array, kind: str, distinct: int) -> None:
    found = summarise_column("x", values)
    assert isinstance(found, ColumnSummary) and found.kind == kind
    assert found.merge(found).distinct_values == found.distinct_values == distinct


def test_table_of_parts() -> None:
    table = pa.table({"n": [1, 2, 3, None], "s": ["a", "b", None, "d"]})
    merged = summarise(table.slice(0, 1)).merge(summarise(table.slice(1)))
    assert merged.rows == 4 and merged.columns["s"].examples.to_pylist() == ["a", "b", "d"]


@pytest.mark.parametrize("count", [16_383, 32_768, 500_001, 1_000_000])
def test_quantiles_of_long_columns_are_within_the_promise(count: int) -> None:
    draw = np.random.default_rng(count)
    values = np.concatenate([draw.normal(size=count // 2), draw.exponential(5.0, count - count // 2)])
    shares = np.linspace(0.01, 0.99, 99)
    found = Numbers.of(values).merge(Numbers.of(values[:40_000])).quantiles(shares)
    ranks = np.searchsorted(np.sort(np.concatenate([values, values[:40_000]])), found) / (count + min(count, 40_000))
    assert np.abs(ranks - shares).max() < 0.007
