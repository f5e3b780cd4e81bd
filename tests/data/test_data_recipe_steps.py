"""The steps of recipes against numpy, scipy and plain Python; on a table, on its slices and row by row."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raylake.core import ConfigError, SchemaMismatch
from raylake.data import (
    Cast,
    Clip,
    DateParts,
    FittedRecipe,
    HashEncode,
    Impute,
    Log,
    Lower,
    NGrams,
    OneHot,
    Ordinal,
    Recipe,
    Scale,
    Step,
    TargetEncode,
    TextLength,
    YeoJohnson,
)
from raylake.data.recipe import quantiles
from raylake.data.recipe.quantiles import Counted

numbers = st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan")), st.integers(-3, 3).map(float))
words = st.one_of(st.none(), st.sampled_from(["AA", "ua", "Straße", "İ x", "", " a b a ", "\U0001f600é"]))
moments = st.one_of(st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
row = st.tuples(numbers, numbers, words, words, st.integers(-2, 2), moments, st.integers(0, 1))
tables = st.lists(row, min_size=1, max_size=40)
NUMERIC: tuple[Step, ...] = (
    *(Scale(["x"], "robust"), Scale(["x"], "minmax"), Log(["x"]), YeoJohnson(["x"]), Clip(["x"])),
    *(Clip(["x"], "zscore", 0.5, "null"), Clip(["x"], "quantile", 0.1)),
)
OTHERS: tuple[Sequence[Step], ...] = (
    (Impute(["v", "w"], "constant", "none"), Impute(["x"], "constant", 0.5)),
    (TargetEncode(["v", "n"], "late", folds=1), HashEncode(["w"], 3)),
    (HashEncode(["n", "v"], 4), Lower(["w"]), TextLength(["w"]), NGrams(["w"], 2, buckets=7)),
    (NGrams(["v"], 3, "character", 5), OneHot(["n"])),
    (DateParts(["at"], ["year", "month", "day", "yearday", "weekday", "weekend", "hour", "minute"]),),
    (DateParts(["at"], ["month", "hour", "year"], cyclic=True, timezone="America/New_York"),),
)


def frame(values: list[tuple[Any, ...]]) -> pa.Table:
    x, y, w, v, n, at, late = (list(column) for column in zip(*values, strict=True))
    return pa.table(
        {
            "x": pa.array(x, pa.float64(), from_pandas=False),
            "y": pa.array(y, pa.float64(), from_pandas=False),
            "w": pa.array(w, pa.string()),
            "v": pa.array(v, pa.string()),
            "n": pa.array(n, pa.int32()),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "late": pa.array(late, pa.int8()),
        }
    )


def matrix(table: pa.Table) -> np.ndarray:
    return np.column_stack([column.to_numpy() for column in table.columns])


def closing(table: pa.Table, steps: Sequence[Step]) -> Recipe:
    """The steps, and whatever makes numbers of the columns that they leave."""
    taken = {name for step in steps for name in step.columns if type(step) in (TargetEncode, HashEncode, NGrams)}
    text = [name for name in ("w", "v") if name not in taken]
    dated = any(isinstance(step, DateParts) for step in steps)
    return Recipe([*steps, *([Ordinal(text)] if text else []), *([] if dated else [DateParts(["at"])])])


def check_same(fitted: FittedRecipe, new: pa.Table, cuts: list[int]) -> None:
    """Few rows run through lists, more than 64 through Arrow: the rows are repeated until there are as many."""
    long = pa.concat_tables([new] * (1 + 65 // new.num_rows))
    many = matrix(fitted.apply(long))
    edges = sorted({0, long.num_rows, *(cut % (long.num_rows + 1) for cut in cuts)})
    slices = [long.slice(at, end - at) for at, end in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([matrix(fitted.apply(part)) for part in slices]), many)
    rows = [new.slice(at, 1) for at in range(new.num_rows)]
    few = many[: new.num_rows]
    np.testing.assert_array_equal(np.concatenate([matrix(fitted.apply(row)) for row in rows]), few)
    stored = FittedRecipe.from_json(fitted.to_json())
    assert stored == fitted
    np.testing.assert_array_equal(stored.apply_columns({name: new[name].to_pylist() for name in stored.inputs}), few)
    trained = matrix(fitted.apply_training(long))[: new.num_rows]
    np.testing.assert_array_equal(np.concatenate([matrix(fitted.apply_training(row)) for row in rows]), trained)


@pytest.mark.parametrize("step", NUMERIC + OTHERS, ids=str)
@settings(max_examples=6, deadline=None)
@given(tables, tables, st.lists(st.integers(0, 99), max_size=3))
def test_a_table_its_slices_and_its_rows_get_the_same(
    step: Step | Sequence[Step], train: list[Any], new: list[Any], cuts: list[int]
) -> None:
    steps = [step] if isinstance(step, Step) else list(step)
    recipe = closing(frame(train), steps)
    learned = frame(train) if recipe.targets else frame(train).drop_columns(["late"])
    check_same(recipe.fit(learned), frame(new), cuts)


@settings(max_examples=25, deadline=None)
@given(tables, tables, st.sampled_from(["w", "n"]), st.sampled_from(["mean", "median", "most_frequent"]))
def test_imputation_by_group_matches_plain_python(train: list[Any], new: list[Any], by: str, strategy: Any) -> None:
    table, fresh = frame(train), frame(new)
    known = [x for x in table["x"].to_pylist() if x is not None and x == x]
    recipe = Recipe([Impute(["x"], strategy, by=by), *([Ordinal(["w"])] if by == "w" else [])])
    chosen = ["x", by]
    if not known:
        with pytest.raises(SchemaMismatch, match="'x' has no value"):
            recipe.fit(table.select(chosen))
        return
    fitted = recipe.fit(table.select(chosen))
    find = {
        "mean": statistics.fmean,
        "median": statistics.median,
        "most_frequent": lambda v: min(statistics.multimode(v)),
    }
    groups: dict[Any, list[float]] = {}
    for key, x in zip(table[by].to_pylist(), table["x"].to_pylist(), strict=True):
        if key is not None and x is not None and x == x:
            groups.setdefault(key, []).append(x)
    got = fitted.apply(fresh)["x"].to_pylist()
    for value, key, x in zip(got, fresh[by].to_pylist(), fresh["x"].to_pylist(), strict=True):
        gap = x is None or x != x
        expected = find[strategy](groups.get(key, known)) if gap else x
        assert value == pytest.approx(expected, rel=1e-5, abs=1e-5)
    check_same(fitted, fresh, [3])


def test_text_is_imputed_by_group() -> None:
    train = pa.table({"plane": [1, 1, 1, 2, 2], "kind": ["jet", "jet", "prop", None, "prop"]})
    fitted = Recipe([Impute(["kind"], "most_frequent", by="plane"), Ordinal(["kind"])]).fit(train)
    new = pa.table({"plane": [1, 2, 3, None] * 30, "kind": pa.nulls(120, pa.string())})
    assert matrix(fitted.apply(new))[:4, 1].tolist() == [0.0, 1.0, 0.0, 0.0]
    check_same(fitted, new, [1])
    assert json.loads(fitted.to_json())["steps"][0]["values"]["kind"] == {
        "value": "jet",
        "groups": [[1.0, "jet"], [2.0, "prop"]],
    }


finite_lists = st.lists(st.one_of(st.floats(-1e6, 1e6), st.integers(-2, 2).map(float)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(st.lists(finite_lists, min_size=1, max_size=4), st.floats(0, 1))
def test_counted_values_merge_and_give_numpys_quantiles(blocks: list[list[float]], share: float) -> None:
    merged = Counted.of(np.array(blocks[0]))
    for block in blocks[1:]:
        merged = merged.merge(Counted.of(np.array(block)))
    whole = np.concatenate([np.array(block) for block in blocks])
    assert merged.total == len(whole)
    np.testing.assert_allclose(merged.quantiles([share]), np.quantile(whole, [share]), rtol=1e-9, atol=1e-9)


def test_very_many_values_are_bounded_and_stay_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantiles, "MOST_POINTS", 1000)
    values = np.random.default_rng(3).lognormal(size=100_000)
    found = Counted.of(values[:1])
    for at in range(1, len(values), 5_000):
        found = found.merge(Counted.of(values[at : at + 5_000]))
    assert len(found.values) <= 1000 and found.total == len(values)
    shares = [0.01, 0.25, 0.5, 0.75, 0.99]
    ranks = [(values <= value).mean() for value in found.quantiles(shares)]
    np.testing.assert_allclose(ranks, shares, atol=0.011)  # 20 merges of half a point in a thousand each
    assert found.values[-1] == values.max()


@settings(max_examples=40, deadline=None)
@given(finite_lists)
def test_scales_and_limits_match_numpy(values: list[float]) -> None:
    table = pa.table({"x": values})
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])

    def learned(step: Step) -> dict[str, Any]:
        return dict(Recipe([step]).fit(table).steps[0]["values"]["x"])

    if high - low > 1e-6:
        close = {"center": pytest.approx(centre, abs=1e-8), "scale": pytest.approx(high - low, abs=1e-8)}
        assert learned(Scale(["x"], "robust")) == close
        reach = 1.5 * (high - low)
        assert learned(Clip(["x"])) == pytest.approx({"low": low - reach, "high": high + reach}, abs=1e-8)
    if low == high:
        assert learned(Clip(["x"])) == {"low": None, "high": None}
    if max(values) - min(values) > 1e-6:
        ends = np.quantile(values, [0.1, 0.9])
        scaled = matrix(Recipe([Scale(["x"], "minmax")]).fit(table).apply(table))
        assert scaled.min() == 0 and scaled.max() == pytest.approx(1)
        if ends[1] - ends[0] > 1e-6:
            assert list(learned(Clip(["x"], "quantile", 0.1)).values()) == pytest.approx(ends.tolist(), abs=1e-8)
        reach = 3 * statistics.pstdev(values)
        mean = statistics.fmean(values)
        found = learned(Clip(["x"], "zscore"))
        assert list(found.values()) == pytest.approx([mean - reach, mean + reach], rel=1e-6, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 3)), min_size=5, max_size=80), st.floats(-3, 5))
def test_yeo_johnson_is_scipys(values: list[float], exponent: float) -> None:
    fitted = FittedRecipe(
        {"x": "number"}, ({"step": "YeoJohnson", "columns": ["x"], "values": {"x": {"lambda": exponent}}},)
    )
    got = fitted.apply_columns({"x": values})[:, 0]
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(
            got, scipy.stats.yeojohnson(np.array(values), exponent).astype(np.float32), rtol=2e-6
        )
    found = Recipe([YeoJohnson(["x"])]).fit(pa.table({"x": values})).steps[0]["values"]["x"]["lambda"]
    if len(set(values)) > 1 and abs(found) < 9:
        best = scipy.stats.yeojohnson_llf(scipy.stats.yeojohnson_normmax(np.array(values)), np.array(values))
        assert scipy.stats.yeojohnson_llf(found, np.array(values)) >= best - 1e-4 * max(1, abs(best))


def test_the_exponent_is_scipys_on_skewed_columns() -> None:
    random = np.random.default_rng(5)
    for values in (random.lognormal(size=3000), random.gamma(2, size=3000) - 1, -random.exponential(size=3000)):
        found = Recipe([YeoJohnson(["x"])]).fit(pa.table({"x": values})).steps[0]["values"]["x"]["lambda"]
        assert found == pytest.approx(scipy.stats.yeojohnson_normmax(values), abs=1e-5)


def test_long_arrays_take_the_same_path_as_single_values() -> None:
    """Vectorised loops end in a scalar rest; 5,003 rows have one for any width."""
    random = np.random.default_rng(2)
    hours = random.integers(0, 10**15, 5003)
    table = pa.table(
        {"x": random.lognormal(2, 2, 5003), "y": random.normal(0, 100, 5003), "at": pa.array(hours, pa.timestamp("us"))}
    )
    steps = [Log(["x"]), YeoJohnson(["y"]), DateParts(["at"], ["yearday", "minute"], cyclic=True)]
    fitted = Recipe([*steps, Scale(["x", "y"], "robust")]).fit(table)
    singles = [matrix(fitted.apply(table.slice(at, 1)))[0] for at in range(5003)]
    np.testing.assert_array_equal(np.array(singles), matrix(fitted.apply(table)))


def test_log_shifts_by_the_least_value() -> None:
    fitted = Recipe([Log(["x", "y"])]).fit(pa.table({"x": [-4.0, 5.0, None], "y": [1.0, 3.0, 9.0]}))
    got = fitted.apply_columns({"x": [-4.0, -100.0, 5.0, None], "y": [0.0, -0.5, 3.0, float("nan")]})
    expected = [[0, 0], [0, 0], [np.log(10), np.log(4)], [np.nan, np.nan]]
    np.testing.assert_allclose(got, np.array(expected), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(moments, min_size=1, max_size=80), st.sampled_from(["UTC", "Europe/Rome", "America/New_York"]))
@example([datetime(2013, 3, 10, 6, 59), datetime(2013, 3, 10, 7, 0)], "America/New_York")
def test_parts_of_dates_match_python(values: list[datetime | None], zone: str) -> None:
    parts = ["year", "month", "day", "yearday", "weekday", "weekend", "hour", "minute"]
    table = pa.table({"at": pa.array(values, pa.timestamp("us"))})
    got = matrix(Recipe([DateParts(["at"], parts, timezone=zone)]).fit(table).apply(table))
    for found, value in zip(got, values, strict=True):
        if value is None:
            assert np.isnan(found).all()
            continue
        local = value.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
        expected = [local.year, local.month, local.day, local.timetuple().tm_yday, local.weekday()]
        assert found.tolist() == [*expected, local.weekday() >= 5, local.hour, local.minute]


def test_every_way_of_writing_a_time_is_read() -> None:
    at = datetime(2013, 7, 4, 3, 30, tzinfo=UTC)
    kinds = [
        pa.timestamp("s"),
        pa.timestamp("ms", "UTC"),
        pa.timestamp("us", "Asia/Tokyo"),
        pa.timestamp("ns"),
        pa.date32(),
    ]
    for kind in kinds:
        moment = at.date() if kind == pa.date32() else at if kind.tz else at.replace(tzinfo=None)
        table = pa.table({"at": pa.array([moment, None] * 50, kind)})
        fitted = Recipe([DateParts(["at"], ["day", "hour"])]).fit(table)
        assert matrix(fitted.apply(table))[0].tolist() == [4.0, 0.0 if kind == pa.date32() else 3.0]
        check_same(fitted, table, [7])
    fitted = Recipe([DateParts(["at"], ["hour"], timezone="Europe/Rome")]).fit(pa.table({"at": [at]}))
    ways = [at, at.replace(tzinfo=None), "2013-07-04T03:30:00Z", "2013-07-04T05:30+02:00", "2013-07-04 03:30"]
    assert fitted.apply_columns({"at": ways})[:, 0].tolist() == [5.0] * 5
    assert fitted.apply_columns({"at": np.array(["2013-07-04T03:30"], "M8[s]")}).tolist() == [[5.0]]
    for wrong in ([5], ["yesterday"], pa.array([1.0])):
        with pytest.raises(SchemaMismatch, match="'at'"):
            fitted.apply_columns({"at": wrong})


def test_cycles_close() -> None:
    start = datetime(2024, 1, 1)
    hours = pa.table({"at": [start + timedelta(hours=hour) for hour in range(24)]})
    got = matrix(Recipe([DateParts(["at"], ["hour"], cyclic=True)]).fit(hours).apply(hours))
    gaps = np.linalg.norm(got - np.roll(got, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-10, 10)), min_size=1, max_size=60), st.floats(0, 20))
def test_target_means_match_plain_python(rows: list[tuple[str, float]], smoothing: float) -> None:
    table = pa.table({"c": [c for c, _ in rows], "id": range(len(rows)), "y": [y for _, y in rows]})
    try:
        fitted = Recipe([TargetEncode(["c"], "y", smoothing, folds=3)]).fit(table)
    except SchemaMismatch as error:
        assert "folds cannot" in str(error) and len(rows) < 20
        return
    mean = statistics.fmean(y for _, y in rows)
    for c, found in zip("abcd", fitted.apply_columns({"c": list("abcd"), "id": [0] * 4})[:, 0], strict=True):
        own = [y for d, y in rows if d == c]
        weight = len(own) + smoothing
        assert found == pytest.approx((sum(own) + smoothing * mean) / weight if weight else mean, rel=1e-4, abs=1e-4)
    # No row's own target is in its encoding: whatever it is, the encoding stays.
    trained = matrix(fitted.apply_training(table))[:, 0]
    changed = table.set_column(2, "y", pa.array([rows[0][1] + 1000.0, *[y for _, y in rows[1:]]]))
    again = Recipe([TargetEncode(["c"], "y", smoothing, folds=3)]).fit(changed)
    assert matrix(again.apply_training(table))[0, 0] == pytest.approx(trained[0], rel=1e-5, abs=1e-5)


def test_target_encoding_of_noise_does_not_leak() -> None:
    random = np.random.default_rng(0)
    late = random.integers(0, 2, 4000)
    table = pa.table({"plane": random.integers(0, 1000, 4000), "x": random.normal(size=4000), "late": late})
    fitted = Recipe([TargetEncode(["plane"], "late", smoothing=1)]).fit(table)
    leaking, honest = (matrix(rows)[:, 0] for rows in (fitted.apply(table), fitted.apply_training(table)))
    assert np.corrcoef(leaking, late)[0, 1] > 0.4
    assert abs(np.corrcoef(honest, late)[0, 1]) < 0.1


def test_rows_that_folds_cannot_separate_are_refused() -> None:
    table = pa.table({"c": ["a", "b"] * 50, "late": [True, False] * 50})
    with pytest.raises(SchemaMismatch, match="folds=1"):
        Recipe([TargetEncode(["c"], "late")]).fit(table)
    assert Recipe([TargetEncode(["c"], "late", folds=1)]).fit(table).input_columns == ("c",)
    with pytest.raises(SchemaMismatch, match="target 'late' is not among"):
        Recipe([TargetEncode(["c"], "late")]).fit(table.select(["c"]))
    with pytest.raises(SchemaMismatch, match="has no value"):
        Recipe([TargetEncode(["c"], "late")]).fit(table.set_column(1, "late", pa.nulls(100, pa.int8())))


def test_texts() -> None:
    new = {"t": [" The cat THE ", "", None]}
    train = pa.table({"t": ["x"]})
    fitted = Recipe([TextLength(["t"]), Lower(["t"]), NGrams(["t"], 2, buckets=512)]).fit(train)
    got = fitted.apply_columns(new)
    assert fitted.output_columns[:2] == ("t#0", "t#1") or fitted.output_columns[-1] == "t_length"
    lengths = got[:, fitted.output_columns.index("t_length")]
    np.testing.assert_array_equal(lengths, [13, 0, np.nan])
    grams = np.delete(got, fitted.output_columns.index("t_length"), axis=1)
    assert sorted(grams[0][grams[0] > 0].tolist()) == [1.0, 1.0, 1.0, 2.0]  # the x 2, cat, the cat, cat the
    assert not grams[1:].any()


def test_hashed_buckets_are_fixed_for_ever() -> None:
    """Stored recipes hold no categories; another hash would silently change what a model gets."""
    fitted = Recipe([HashEncode(["c", "n"], 16)]).fit(pa.table({"c": ["x"], "n": [1]}))
    got = fitted.apply_columns({"c": ["UA", "é", ""], "n": [1, 2.5, -0.0]}).reshape(3, 2, 16)
    assert got.sum(axis=2).tolist() == [[1, 1]] * 3
    assert got.argmax(axis=2).tolist() == BUCKETS


BUCKETS = [[14, 6], [4, 1], [0, 0]]


def test_a_step_may_name_what_an_earlier_one_made() -> None:
    train = pa.table({"c": ["a", "b", "b"], "at": [datetime(2024, 1, day) for day in (1, 2, 3)]})
    steps = [OneHot(["c"]), Scale(["c=a"]), DateParts(["at"], ["day"]), Scale(["at_day"], "minmax")]
    assert matrix(Recipe(steps).fit(train).apply(train))[:, 2].tolist() == [0.0, 0.5, 1.0]


def test_columns_without_values_or_spread() -> None:
    empty = pa.table({"x": pa.nulls(3, pa.float64()), "t": pa.nulls(3, pa.string()), "flat": [7.0] * 3})
    both = ["x", "flat"]
    for step in (Scale(both, "robust"), Scale(both, "minmax"), Clip(both), Clip(both, "zscore"), Log(both)):
        got = Recipe([step, Ordinal(["t"])]).fit(empty).apply_columns({"x": [1.0], "t": ["new"], "flat": [9.0]})
        expected = {Scale: [1, 2], Clip: [1, 9], Log: np.log1p([1, 9])}[type(step)]
        np.testing.assert_allclose(got[0, [0, 2]], expected, rtol=1e-6)
        assert np.isnan(got[0, 1])
    kept = Recipe([YeoJohnson(both), OneHot(["t"])]).fit(empty)
    assert kept.apply_columns({"x": [-5.0], "t": ["new"], "flat": [9.0]}).tolist() == [[-5.0, 9.0]]
    fitted = Recipe([Clip(["flat"]), HashEncode(["t"], 2), Impute(["x"], "constant", 0)]).fit(empty)
    assert fitted.apply(empty).to_pylist()[0] == {"x": 0.0, "t#0": 0.0, "t#1": 0.0, "flat": 7.0}


def test_wrong_kinds_are_named() -> None:
    train = pa.table({"x": [1.0, 2.0], "w": ["a", "b"], "at": [datetime(2024, 1, 1)] * 2})
    for step, said in (
        (Clip(["w"]), "Clip needs numbers, not text"),
        (Log(["at"]), "Log cannot take column 'at', a time"),
        (Impute(["at"], "constant", 0), "Impute cannot take column 'at', a time"),
        (DateParts(["w"]), "DateParts needs numbers, but column 'w' is text|DateParts needs time"),
        (DateParts(["x"]), "DateParts needs time, but column 'x' is numeric"),
        (Lower(["x"]), "Lower needs text, but column 'x' is numeric"),
        (NGrams(["at"]), "NGrams cannot take column 'at', a time"),
        (HashEncode(["gone"]), "'gone', which is not there"),
        (Impute(["x"], by="gone"), "'gone', which is not there"),
    ):
        with pytest.raises(SchemaMismatch, match=said):
            Recipe([step]).fit(train)
    twice = pa.table({"t": ["a"], "t_length": [1]})
    with pytest.raises(SchemaMismatch, match=r"'t_length'.* there already"):
        Recipe([TextLength(["t"]), Ordinal(["t"])]).fit(twice)


def test_settings_are_checked_at_once() -> None:
    for wrong in (
        lambda: Scale(["x"], "max"),  # type: ignore[arg-type]
        lambda: Clip(["x"], "iqr", -1),
        lambda: Clip(["x"], "quantile", 0.5),
        lambda: Clip(["x"], to="drop"),  # type: ignore[arg-type]
        lambda: Impute(["x"], "constant", 1, by="g"),
        lambda: Impute(["x"], by="x"),
        lambda: HashEncode(["x"], 1),
        lambda: HashEncode(["x"], 2.5),  # type: ignore[arg-type]
        lambda: TargetEncode(["x"]),
        lambda: TargetEncode(["x"], "x"),
        lambda: TargetEncode(["x"], "y", smoothing=-1),
        lambda: TargetEncode(["x"], "y", folds=0),
        lambda: DateParts(["x"], ["century"]),
        lambda: DateParts(["x"], "hour"),
        lambda: DateParts(["x"], timezone="Mars/Base"),
        lambda: NGrams(["x"], 0),
        lambda: NGrams(["x"], unit="line"),  # type: ignore[arg-type]
        lambda: Cast(["x"], "time"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_a_preview_shows_every_column_before_and_after() -> None:
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "x": pa.array(np.where(random.random(3000) < 0.1, np.nan, random.lognormal(size=3000)), from_pandas=True),
            "c": random.choice(["a", "b"], 3000),
            "late": random.integers(0, 2, 3000),
        }
    )
    recipe = Recipe([Impute(["x"], "median"), YeoJohnson(["x"]), TargetEncode(["c"], "late")])
    preview = recipe.preview(table, rows=1000)
    assert preview.before.rows == preview.after.rows == 1000 and preview.rows.num_rows == 20
    x_before, x_after, c_before, c_after = preview.figures().to_pylist()
    assert x_before["missing"] > 50 and x_after["missing"] == 0
    assert x_before["skewness"] > 2 > 0.5 > abs(x_after["skewness"])
    assert (c_before["type"], c_before["mean"], c_after["type"]) == ("string", None, "float")
    assert 0.4 < c_after["mean"] < 0.6
    lines = str(preview).splitlines()
    assert lines[0].split()[:3] == ["column", "when", "missing"] and len(lines) == 5
    again = recipe.preview(table, rows=1000)
    # The summaries' medians are drawn at random; the sample and what is learned from it are not.
    assert again.rows.equals(preview.rows) and again.fitted == preview.fitted
    with pytest.raises(ConfigError, match="rows=0"):
        recipe.preview(table, rows=0)
    nothing = Recipe([Ordinal(["c"])]).preview(table.slice(0, 0).select(["c"]))
    assert nothing.rows.num_rows == 0 and str(nothing)
