"""Steps that validate, deduplicate, join and call functions: against plain Python, on tables, rows and Datasets."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data import recipe_functions
from tests.data.test_data_recipe_steps import check_same, closing, frame, matrix, tables

from raylake import data
from raylake.core import ConfigError, ExpectationFailed, SchemaMismatch, Workspace
from raylake.data import (
    Custom,
    Deduplicate,
    Drop,
    Enrich,
    FittedRecipe,
    Impute,
    OneHot,
    Ordinal,
    Recipe,
    Scale,
    Step,
    Validate,
)

WORDS = ["AA", "ua", "", "\U0001f600é", None]
JOINED = pa.table({"w": WORDS, "feet": [1.5, None, 3.0, -4.0, 9.0], "zone": ["east", None, "west", "", "null"]})
PAIRS = pa.table(
    {"n": [-1, 0, 0, 2, None], "word": ["AA", "AA", "ua", "", "AA"], "area": [10.0, 20.0, 30.0, None, 5.0]}
)
STEPS: tuple[tuple[Step, ...], ...] = (
    (Validate(["x", "y"], -10, 1e5), Validate(["n"], allowed=[0, 1])),
    (Validate(["w", "v"], allowed=["AA", ""]), Validate(["w"], pattern="[A-Z]+")),
    (Deduplicate(["w", "n", "at"]), Validate(["x"], most=0, required=True, on_broken="drop")),
    (Enrich(["w"], JOINED, take=["feet", "zone"], source="words@1"), OneHot(["zone"])),
    (Enrich(["n", "w"], PAIRS, key=["n", "word"]),),
    (Custom(["x", "w", "at"], recipe_functions.mix, makes=["mixed", "there"], settings={"weight": 3}),),
    (Custom(["w"], "tests.data.recipe_functions:louder", makes=["loud"], kind="text"), Ordinal(["loud"])),
)  # fmt: skip


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: type(steps[0]).__name__)
@settings(max_examples=8, deadline=None)
@given(tables, tables, st.lists(st.integers(0, 99), max_size=3))
def test_a_table_its_slices_and_its_rows_get_the_same(
    steps: tuple[Step, ...], train: list[Any], new: list[Any], cuts: list[int]
) -> None:
    learned = frame(train).drop_columns(["late"])
    fitted = closing(learned, steps).fit(learned)
    check_same(fitted, frame(new), cuts)
    assert json.loads(fitted.to_json())["steps"]


@settings(max_examples=40, deadline=None)
@given(tables)
def test_values_that_break_a_rule_become_null(values: list[Any]) -> None:
    table = frame(values).select(["x", "w"])
    fitted = Recipe([Validate(["x"], -5, 5), Validate(["w"], allowed=["AA", ""]), Ordinal(["w"])]).fit(table)
    got = fitted.apply(table).to_pylist()
    known = sorted({w for w in table["w"].to_pylist() if w in ("AA", "")})
    for row, x, w in zip(got, table["x"].to_pylist(), table["w"].to_pylist(), strict=True):
        inside = x is not None and -5 <= x <= 5
        assert row["x"] == np.float32(x) if inside else np.isnan(row["x"])
        assert row["w"] == known.index(w) if w in known else np.isnan(row["w"])


def test_rows_that_break_a_rule_are_left_out_of_training_and_answered_as_null() -> None:
    train = pa.table({"age": [20.0, 999.0, 40.0, None], "sex": ["f", "m", "x", "f"]})
    dropping = [
        Validate(["age"], 0, 120, required=True, on_broken="drop"),
        Validate(["sex"], allowed=["f", "m"], on_broken="drop"),
    ]
    fitted = Recipe([*dropping, Impute(["age"]), Ordinal(["sex"])]).fit(train)
    assert fitted.training_rows(train).to_pylist() == [{"age": 20.0, "sex": "f"}]
    np.testing.assert_array_equal(fitted.apply(train)["age"], [20, 20, 40, 20])
    assert fitted.apply_columns({"age": [30], "sex": ["m"]}).shape == (1, 2)


def test_rows_that_are_refused_are_named() -> None:
    train = pa.table({"age": [20.0, 40.0], "code": ["A1", "B2"]})
    fitted = Recipe(
        [
            Validate(["age"], 0, 120, required=True, on_broken="fail"),
            Validate(["code"], pattern="[A-Z][0-9]", on_broken="fail"),
            Ordinal(["code"]),
        ]
    ).fit(train)
    for new, said in (
        ({"age": [30, 200], "code": ["A1", "A1"]}, r"'age' is 200 in row 1 \(1 rows are wrong\).*most 120"),
        ({"age": [None], "code": ["A1"]}, "'age' is null in row 0.*not null"),
        ({"age": [1], "code": ["A12"]}, "'code' is 'A12' in row 0.*pattern"),
    ):
        with pytest.raises(ExpectationFailed, match=said):
            fitted.apply_columns(new)
    with pytest.raises(ExpectationFailed, match="999"):
        Recipe([Validate(["age"], most=120, on_broken="fail"), Scale(["age"])]).fit(pa.table({"age": [999]}))


@settings(max_examples=40, deadline=None)
@given(tables, st.sampled_from([["w"], ["n", "w"], ["x"], ["at", "n", "x"]]), st.randoms())
def test_one_row_of_each_key_stays_whatever_the_order(values: list[Any], key: list[str], random: Any) -> None:
    table = frame(values)
    recipe = Recipe([Deduplicate(key)])

    def keys(rows: pa.Table) -> list[str]:
        return [repr([value if value == value else None if value is None else "nan" for value in row.values()])
                .replace("-0.0", "0.0") for row in rows.select(key).to_pylist()]  # fmt: skip

    kept = recipe.training_rows(table)
    assert sorted(keys(kept)) == sorted(set(keys(table)))
    order = list(range(table.num_rows))
    random.shuffle(order)
    again = recipe.training_rows(table.take(pa.array(order)))
    assert sorted(map(repr, again.to_pylist())) == sorted(map(repr, kept.to_pylist()))


@settings(max_examples=40, deadline=None)
@given(tables)
def test_a_join_matches_a_dictionary(values: list[Any]) -> None:
    table = frame(values).select(["w", "n"])
    fitted = Recipe(
        [Enrich(["n", "w"], PAIRS, key=["n", "word"]), Enrich(["w"], JOINED), OneHot(["zone"]), Ordinal(["w"])]
    )
    got = fitted.fit(table).apply(table).to_pylist()
    pairs = {(row["n"], row["word"]): row["area"] for row in PAIRS.to_pylist() if row["n"] is not None}
    words = {row["w"]: row for row in JOINED.to_pylist() if row["w"] is not None}
    for row, source in zip(got, table.to_pylist(), strict=True):
        found = words.get(source["w"], {"feet": None, "zone": None})
        for name, expected in (("area", pairs.get((source["n"], source["w"]))), ("feet", found["feet"])):
            assert np.isnan(row[name]) if expected is None else row[name] == expected
        zones = {name[5:] for name, value in row.items() if name.startswith("zone=") and value}
        assert zones == ({found["zone"]} if found["zone"] is not None else set())


def test_joined_columns_are_inputs_of_later_steps_and_keys_can_be_dropped() -> None:
    airports = pa.table({"faa": ["EWR", "JFK"], "feet": [18, 13], "opened": pa.array([0, 10**15], pa.timestamp("us"))})
    steps = [Enrich(["origin"], airports, key=["faa"], source="airports@3"), Drop(["origin"]),
             data.DateParts(["opened"], ["year"]), Scale(["feet"])]  # fmt: skip
    fitted = Recipe(steps).fit(pa.table({"origin": ["EWR", "JFK"]}))
    assert fitted.output_columns == ("feet", "opened_year")
    assert fitted.apply_columns({"origin": ["JFK", "?"]}).tolist()[0] == [-1.0, 2001.0]
    stored = json.loads(fitted.to_json())["steps"][0]
    assert (stored["source"], stored["taken"]["feet"]["values"]) == ("airports@3", [18.0, 13.0])


def test_what_cannot_be_joined_is_named() -> None:
    some = pa.table({"k": ["a", "b"], "v": [1, 2]})
    for wrong, error, said in (
        (lambda: Enrich(["k"], None), ConfigError, "give an Arrow table"),
        (lambda: Enrich(["k"], some, take=["z"]), SchemaMismatch, r"\['z'\] are not in the table of Enrich"),
        (lambda: Enrich(["k"], some, key=["k", "v"]), ConfigError, "as many key="),
        (lambda: Enrich(["k"], pa.concat_tables([some, some])), ConfigError, "4 rows but 2 different"),
        (lambda: Enrich(["k"], pa.table({"k": range(100_001)})), ConfigError, "at most 100000"),
    ):
        with pytest.raises(error, match=said):
            wrong()
    with pytest.raises(SchemaMismatch, match="'k' is number, but the table's key is text"):
        Recipe([Enrich(["k"], some)]).fit(pa.table({"k": [1]}))
    with pytest.raises(SchemaMismatch, match=r"'v'.*there already"):
        Recipe([Enrich(["k"], some)]).fit(pa.table({"k": ["a"], "v": [1]}))


def test_a_function_is_stored_by_path_and_hash() -> None:
    train = pa.table({"w": ["a", "b"]})
    fitted = Recipe(
        [Custom(["w"], recipe_functions.louder, makes=["loud"], kind="text"), OneHot(["loud"]), Drop(["w"])]
    )
    stored = fitted.fit(train).to_json()
    assert json.loads(stored)["steps"][0]["function"] == "tests.data.recipe_functions:louder"
    assert FittedRecipe.from_json(stored).apply_columns({"w": ["b"]}).tolist() == [[0.0, 1.0]]
    changed = stored.replace(json.loads(stored)["steps"][0]["sha256"], "0" * 64)
    with pytest.raises(ConfigError, match="has changed since the recipe was fitted"):
        FittedRecipe.from_json(changed)
    with pytest.raises(ConfigError, match=r"os:system, which is not meant for recipes"):
        FittedRecipe.from_json(stored.replace("tests.data.recipe_functions:louder", "os:system"))
    with pytest.raises(ConfigError, match="no_such:louder, which cannot be imported here"):
        FittedRecipe.from_json(stored.replace("recipe_functions:louder", "no_such:louder"))


def test_functions_that_do_not_fit_are_refused() -> None:
    train = pa.table({"x": [1.0, 2.0, 4.0]})
    for function, makes, error, said in (
        (recipe_functions.centred, ["c"], SchemaMismatch, "of a row alone, and"),
        (recipe_functions.too_short, ["c"], SchemaMismatch, r"shape \(1,\) for 'c', not \(3,\)"),
        (recipe_functions.too_short, ["c", "d"], SchemaMismatch, "returns 1 columns"),
        (recipe_functions.unmarked, ["c"], ConfigError, "mark it with @data.recipe_function"),
    ):
        with pytest.raises(error, match=said):
            Recipe([Custom(["x"], function, makes=makes)]).fit(train)
    for wrong in (
        lambda: Custom(["x"], lambda x: x, makes=["y"]),
        lambda: Custom(["x"], "no path", makes=["y"]),
        lambda: Custom(["x"], recipe_functions.centred),
        lambda: Validate(["x"]),
        lambda: Validate(["x"], 5, 1),
        lambda: Validate(["x"], required=True),
        lambda: Validate(["x"], pattern="("),
        lambda: Validate(["x"], allowed="abc"),
        lambda: Recipe([Scale(["x"]), Deduplicate(["x"])]),
        lambda: Recipe([Scale(["x"]), Validate(["x"], 0, on_broken="drop")]),
    ):
        with pytest.raises(ConfigError):
            wrong()
    for step, said in (
        (Validate(["x"], pattern="a"), "'x', which is number"),
        (Validate(["x"], allowed=["a"]), "'a' is no number"),
    ):
        with pytest.raises(SchemaMismatch, match=said):
            Recipe([step]).fit(train)


def test_a_dataset_gets_the_same_as_a_table(ray_ws: Workspace) -> None:
    random = np.random.default_rng(3)
    table = pa.table(
        {"k": random.integers(0, 50, 400), "w": random.choice(["AA", "ua"], 400), "x": random.normal(size=400)}
    )
    recipe = Recipe([
        Validate(["x"], -1, on_broken="drop"), Deduplicate(["k", "w"]), Enrich(["w"], JOINED, take=["feet"]),
        Custom(["w"], recipe_functions.louder, makes=["loud"], kind="text"), Ordinal(["loud", "w"]), Scale(["x"]),
    ])  # fmt: skip
    dataset = ray.data.from_arrow([table.slice(0, 150), table.slice(150)])
    fitted = recipe.fit(table)
    on_ray = recipe.fit(dataset)
    scaled, expected = ((found.steps[-1]["step"], found.steps[-1]["values"]["x"]) for found in (on_ray, fitted))
    assert scaled[0] == "Scale" and scaled[1] == pytest.approx(expected[1])
    kept = pa.Table.from_pylist(on_ray.training_rows(dataset).take_all())
    assert sorted(map(repr, kept.to_pylist())) == sorted(map(repr, fitted.training_rows(table).to_pylist()))
    # The order of a Dataset's blocks is not fixed: compare as sets of rows.
    both = [np.unique(matrix(pa.Table.from_pylist(rows)), axis=0)
            for rows in (fitted.apply(dataset).take_all(), fitted.apply(table).to_pylist())]  # fmt: skip
    np.testing.assert_array_equal(*both)
