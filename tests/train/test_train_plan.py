from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake import data, train
from raylake.core import ConfigError, DataError, SchemaMismatch
from raylake.train.plan import make_plan, make_split

MOMENT = pa.timestamp("us", tz="UTC")
EPOCH = datetime(2013, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.floats(0.05, 0.9), st.randoms())
def test_the_split_is_by_time_whatever_the_order(hours, share, random):
    shuffled = random.sample(hours, len(hours))
    first, second = (
        make_split(pa.chunked_array([[EPOCH + timedelta(hours=h) for h in order]], MOMENT), share, "t@0")
        for order in (hours, shuffled)
    )
    assert first == second
    newest = sum(EPOCH + timedelta(hours=h) >= first.start for h in hours)
    assert newest >= max(1, min(len(hours) - 1, round(share * len(hours))))
    later = [h for h in sorted(hours) if EPOCH + timedelta(hours=h) > first.start]
    assert len(later) < max(1, round(share * len(hours)))


def test_parts_follow_each_other_in_time_and_lose_no_row(ws, frame, training):
    plan = make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(500))))
    assert plan.train.num_rows == 400 and plan.valid.num_rows == 100
    assert pc.max(plan.train["at"]).as_py() < pc.min(plan.valid["at"]).as_py()


def test_a_window_bounds_both_parts(ws, frame, training):
    window = (EPOCH + timedelta(hours=100), EPOCH + timedelta(hours=150))
    plan = make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(300)), validation=window))
    assert (plan.train.num_rows, plan.valid.num_rows) == (100, 50)


def test_the_recipe_learns_from_the_training_rows_only(ws, frame, training):
    rows = frame(200).sort_by("at")
    carriers = pa.array(["AA"] * 80 + ["DL"] * 80 + ["NEW"] * 40)
    made = training(ws, rows.set_column(rows.column_names.index("carrier"), "carrier", carriers))
    plan = make_plan(ws, train.Spec(train.XGBoost(), made))
    assert '"NEW"' not in plan.recipe.to_json() and '"DL"' in plan.recipe.to_json()


def test_training_rows_are_encoded_without_their_own_label(ws, frame, training):
    made = training(ws, frame(500))
    recipe = data.Recipe([data.TargetEncode(["carrier"], "late", smoothing=0)])
    plan = make_plan(ws, train.Spec(train.XGBoost(), made, recipe=recipe))
    assert "late" not in plan.recipe.input_columns and "late" not in plan.matrix_columns
    at = plan.matrix_columns.index("carrier")
    served, trained = (plan.matrix(plan.train, training=value)[:, at] for value in (False, True))
    carriers = plan.train["carrier"].to_pylist()
    assert len(set(zip(carriers, served.tolist(), strict=True))) == len(set(carriers))
    assert len(set(zip(carriers, trained.tolist(), strict=True))) > len(set(carriers))
    wrong = data.Recipe([data.TargetEncode(["carrier"], "distance")])
    with pytest.raises(ConfigError, match="not the label 'late'"):
        make_plan(ws, train.Spec(train.XGBoost(), made, recipe=wrong))


def test_networks_get_numbers_without_gaps(ws, frame, training):
    plan = make_plan(ws, train.Spec(train.MLP(), training(ws, frame(300))))
    matrix = plan.matrix(plan.train)
    assert not (matrix != matrix).any() and matrix.shape == (240, len(plan.matrix_columns))
    assert abs(float(matrix[:, plan.matrix_columns.index("distance")].mean())) < 1e-3


@pytest.mark.parametrize(("label", "task"), [("late", "binary"), ("minutes", "regression")])
def test_the_task_follows_the_label(ws, frame, training, label, task):
    assert make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(60), label))).task == task


def test_an_explicit_recipe_wins(ws, frame, training):
    recipe = data.Recipe([data.OneHot(["carrier"])])
    plan = make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(100)), recipe=recipe))
    assert len(plan.matrix_columns) > 4


def spoil(rows: pa.Table, label: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index("late"), "late", label)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda rows: rows.slice(0, 0), DataError, "0 rows"),
        (lambda rows: spoil(rows, pa.array([None, *[True, False] * 50][:100])), DataError, "null in 1 of 100 rows"),
        (lambda rows: spoil(rows, pa.array([True] * 100)), DataError, "needs both classes"),
        (lambda rows: spoil(rows, pa.array(["yes"] * 100)), DataError, "is yes in all 80 training rows"),
        (lambda rows: spoil(rows, rows["at"]), SchemaMismatch, "is timestamp"),
        (lambda rows: spoil(rows, pa.array([float("nan"), *[1.0, 0.0] * 50][:100])), DataError, "null in 1 of 100"),
    ],
)
def test_labels_that_cannot_be_learned(ws, frame, training, change, error, message):
    with pytest.raises(error, match=message):
        make_plan(ws, train.Spec(train.XGBoost(), training(ws, change(frame(100)))))


def test_a_missing_label_names_the_columns(ws, frame, training):
    with pytest.raises(SchemaMismatch, match=r"'lte' is not in training.flights@1: it has .*late"):
        make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(50)), label="lte"))


def test_a_label_among_the_features_is_a_leak(ws, frame, training):
    with pytest.raises(ConfigError, match="'wind' is also a feature"):
        make_plan(ws, train.Spec(train.XGBoost(), training(ws, frame(50)), label="wind"))


def test_a_window_without_rows(ws, frame, training):
    made = training(ws, frame(50))
    early, late = (EPOCH, EPOCH + timedelta(hours=9)), (EPOCH + timedelta(days=90), EPOCH + timedelta(days=99))
    with pytest.raises(DataError, match="older than the validation rows"):
        make_plan(ws, train.Spec(train.XGBoost(), made, validation=early))
    with pytest.raises(DataError, match="validation window"):
        make_plan(ws, train.Spec(train.XGBoost(), made, validation=late))


@pytest.mark.parametrize("validation", [1.0, -0.1, (EPOCH, EPOCH), (datetime(2013, 1, 1), EPOCH)])
def test_validation_that_means_nothing(ws, frame, training, validation):
    with pytest.raises(ConfigError, match="validation"):
        train.Spec(train.XGBoost(), training(ws, frame(10)), validation=validation)


def test_objectives_that_are_not_supported(ws, frame, training):
    with pytest.raises(ConfigError, match="rank:ndcg"):
        make_plan(ws, train.Spec(train.XGBoost(objective="rank:ndcg"), training(ws, frame(50))))
    with pytest.raises(DataError, match="a binary label is 0/1"):
        make_plan(ws, train.Spec(train.XGBoost(objective="binary:logistic"), training(ws, frame(50), "minutes")))
