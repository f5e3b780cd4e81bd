"""Recipes: what they learn against plain numpy; one row and many; JSON; errors."""

from __future__ import annotations

import json
import math
import pickle
import statistics

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.core import ConfigError, SchemaMismatch
from raylake.data import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step

Rows = list[tuple[object, ...]]
numbers = st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan")))
words = st.one_of(st.none(), st.sampled_from(["AA", "UA", "DL", "é", ""]))
rows = st.lists(st.tuples(numbers, numbers, words, st.integers(-3, 3), st.booleans()), min_size=1, max_size=150)
ALL_STEPS: tuple[Step, ...] = (
    Impute(["x"], "constant", 0.5),
    Scale(["x", "y"]),
    Impute(["w"], "constant", "none"),
    Ordinal(["w"], unseen="code"),
    OneHot(["n"]),
    Cast(["b"], "int64"),
)


def frame(values: Rows) -> pa.Table:
    x, y, w, n, b = (list(column) for column in zip(*values, strict=True))
    return pa.table(
        {
            "x": pa.array(x, pa.float64(), from_pandas=False),
            "y": pa.array(y, pa.float64(), from_pandas=False),
            "w": pa.array(w, pa.string()),
            "n": pa.array(n, pa.int32()),
            "b": pa.array(b, pa.bool_()),
        }
    )


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


@settings(max_examples=80, deadline=None)
@given(rows, rows)
def test_one_row_many_rows_and_columns_are_identical(
    train: list[tuple[object, ...]], new: list[tuple[object, ...]]
) -> None:
    fitted = Recipe(ALL_STEPS).fit(frame(train))
    table = frame(new)
    many = np.column_stack([column.to_numpy() for column in fitted.apply(table).columns])
    singles = [fitted.apply(table.slice(at, 1)) for at in range(table.num_rows)]
    assert all(single.schema == fitted.apply(table).schema for single in singles)
    assert same(many, np.array([[cell.as_py() for cell in (c[0] for c in one.columns)] for one in singles], np.float32))
    lists = {name: table[name].to_pylist() for name in table.column_names}
    assert same(many, fitted.apply_columns(lists))
    assert same(many, FittedRecipe.from_json(fitted.to_json()).apply_columns(lists))
    assert same(many, pickle.loads(pickle.dumps(fitted)).apply_columns(lists))
    assert many.dtype == np.float32 and many.shape == (table.num_rows, len(fitted.output_columns))


@settings(max_examples=80, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=40).filter(lambda v: any(x is not None and x == x for x in v)))
def test_learned_numbers_match_plain_python(values: list[float | None]) -> None:
    table = pa.table({"x": pa.array(values, pa.float64(), from_pandas=False)})
    known = [x for x in values if x is not None and not math.isnan(x)]
    modes = statistics.multimode(known)
    for strategy, expected in (
        ("mean", math.fsum(known) / len(known)),
        ("median", statistics.median(known)),
        ("most_frequent", min(modes)),
    ):
        got = Recipe([Impute(["x"], strategy)]).fit(table).apply_columns({"x": [None]})  # type: ignore[arg-type]
        assert got[0, 0] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    scaled = Recipe([Scale(["x"])]).fit(table).apply_columns({"x": known})[:, 0]
    deviation = statistics.pstdev(known)
    mean = math.fsum(known) / len(known)
    # Squares of a spread below 1e-150 underflow in float64; such a column counts as constant.
    if deviation > max(1e-6 * max(map(abs, known)), 1e-150):
        np.testing.assert_allclose(scaled, [(x - mean) / deviation for x in known], rtol=1e-3, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=6))
def test_summaries_of_blocks_merge_to_the_summary_of_all(blocks: list[list[float | None]]) -> None:
    arrays = [np.array([np.nan if x is None else x for x in block], dtype=float) for block in blocks]
    whole = np.concatenate(arrays)
    for step in (Impute(["x"], "median"), Impute(["x"], "most_frequent"), Ordinal(["x"])):
        merged = step.partial(arrays[0])
        for block in arrays[1:]:
            merged = step.merge(merged, step.partial(block))
        assert (
            np.array_equal(merged, step.partial(whole))
            if step == Impute(["x"], "median")
            else (merged == step.partial(whole))
        )
    merged = Scale(["x"]).partial(arrays[0])
    for block in arrays[1:]:
        merged = Scale(["x"]).merge(merged, Scale(["x"]).partial(block))
    assert merged == pytest.approx(Scale(["x"]).partial(whole), rel=1e-6, abs=1e-3)


def test_unseen_and_null_as_declared() -> None:
    train = pa.table({"c": ["b", "a", None], "n": [10, 20, 10]})
    loose = Recipe([Ordinal(["c", "n"])]).fit(train)
    strict = Recipe([Ordinal(["c", "n"], unseen="code")]).fit(train)
    new = {"c": ["a", "b", "z", None], "n": [10, 20, 30, None]}
    nan = float("nan")
    expected = np.array([[0, 0], [1, 1], [nan, nan], [nan, nan]], np.float32)
    assert same(loose.apply_columns(new), expected)
    assert same(strict.apply_columns(new), np.where(np.arange(4)[:, None] == 2, np.float32(-1), expected))
    many = pa.table({"c": new["c"] * 50, "n": new["n"] * 50})
    assert same(np.column_stack([c.to_numpy() for c in strict.apply(many).columns])[:4], strict.apply_columns(new))


def test_one_hot_takes_the_columns_place() -> None:
    fitted = Recipe([OneHot(["c"])]).fit(pa.table({"a": [1, 2], "c": ["y", "x"], "z": [0.5, 1.5]}))
    assert fitted.output_columns == ("a", "c=x", "c=y", "z")
    assert fitted.apply_columns({"a": [1], "c": ["unseen"], "z": [None]}).tolist()[0][:3] == [1.0, 0.0, 0.0]


def test_steps_build_on_each_other() -> None:
    train = pa.table({"x": [1.0, None, 3.0], "m": [1, 2, 12]})
    fitted = Recipe([Impute(["x"]), Scale(["x"]), Cast(["m"], "string"), Ordinal(["m"])]).fit(train)
    assert fitted.steps[1]["values"]["x"] == {"mean": 2.0, "scale": pytest.approx(math.sqrt(2 / 3))}
    assert fitted.apply_columns({"x": [None], "m": [12]}).tolist() == [[0.0, 1.0]]
    assert json.loads(fitted.to_json())["steps"][3]["values"]["m"]["categories"] == ["1", "12", "2"]


def test_casts() -> None:
    train = pa.table({"t": ["1.9", "x"], "i": [1.9, -1.9], "b": [0.0, 5.0]})
    fitted = Recipe([Cast(["t"], "float64"), Cast(["i"], "int64"), Cast(["b"], "bool")]).fit(train)
    got = fitted.apply_columns({"t": ["2.5", "x", None], "i": [-1.9, 1.9, None], "b": [0, 5, None]})
    nan = float("nan")
    assert same(got, np.array([[2.5, -1, 0], [nan, 1, 1], [nan, nan, nan]], np.float32))


def test_a_constant_column_is_only_centred() -> None:
    fitted = Recipe([Scale(["x"])]).fit(pa.table({"x": [0.1] * 30}))
    assert fitted.apply_columns({"x": [0.1, 1.1]})[:, 0] == pytest.approx([0.0, 1.0])


def test_what_cannot_be_learned_or_applied_is_named() -> None:
    train = pa.table({"x": [1.0, 2.0], "w": ["a", "b"], "empty": pa.nulls(2, pa.float64())})
    for steps, words in (
        ([Impute(["nope"])], "'nope'"),
        ([Ordinal(["w"]), Impute(["empty"])], "'empty' has no value"),
        ([Scale(["w"])], "needs numbers"),
        ([Impute(["w"], "mean")], "needs numbers"),
        ([Scale(["x"])], r"\['w'\] are still text"),
    ):
        with pytest.raises(SchemaMismatch, match=words):
            Recipe(steps).fit(train)
    with pytest.raises(SchemaMismatch, match="'at' is timestamp"):
        Recipe().fit(pa.table({"at": pa.array([0], pa.timestamp("us"))}))
    fitted = Recipe([Ordinal(["w"])]).fit(train.select(["x", "w"]))
    for new, words in (
        ({"x": [1.0]}, r"\['w'\] are missing"),
        ({"x": ["1"], "w": ["a"]}, "'x' holds text"),
        ({"x": [1.0], "w": [1]}, "'w' holds numbers"),
        ({"x": [1.0, 2.0], "w": ["a"]}, "'w' has 1 rows"),
    ):
        with pytest.raises(SchemaMismatch, match=words):
            fitted.apply_columns(new)
    for text in ("{}", "no json", '{"format": 9, "inputs": {}, "steps": []}'):
        with pytest.raises(SchemaMismatch):
            FittedRecipe.from_json(text)


def test_declarations_are_checked_at_once() -> None:
    for wrong in (
        lambda: Impute(["x"], "guess"),  # type: ignore[arg-type]
        lambda: Impute(["x"], "constant"),
        lambda: Impute(["x"], "mean", 1.0),
        lambda: Scale("x"),
        lambda: Scale([]),
        lambda: Ordinal(["x"], unseen="error"),  # type: ignore[arg-type]
        lambda: Cast(["x"], "int"),  # type: ignore[arg-type]
        lambda: Recipe(["x"]),  # type: ignore[list-item]
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_no_rows_give_no_rows() -> None:
    fitted = Recipe([Impute(["x"])]).fit(pa.table({"x": [1.0]}))
    assert fitted.apply(pa.table({"x": pa.array([], pa.float64())})).num_rows == 0
    assert fitted.apply_columns({"x": []}).shape == (0, 1)
