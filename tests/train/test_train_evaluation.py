"""The evaluation service: metrics against scikit-learn, intervals, slices, thresholds, gates."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from raylake import data, registry, train
from raylake.core import ConfigError, DataError, NotFound, SchemaMismatch
from raylake.testing.learnable import label_frame
from raylake.train.evaluation import calibration, cheapest, thresholds
from raylake.train.evaluation.bootstrap import bootstrap, interval
from raylake.train.evaluation.weighted import BINARY, MULTICLASS, REGRESSION

ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.booleans(), st.integers(0, 3)),
    min_size=4,
    max_size=40,
)


def binary_oracles(scores, labels, weights):
    said = scores >= 0.5
    given = {"sample_weight": weights}
    zero = {**given, "zero_division": np.nan}
    return {
        "auc": oracle.roc_auc_score(labels, scores, **given),
        "average_precision": oracle.average_precision_score(labels, scores, **given),
        "logloss": oracle.log_loss(labels, np.clip(scores, 1e-15, 1 - 1e-15), **given),
        "brier": oracle.brier_score_loss(labels, scores, **given),
        "accuracy": oracle.accuracy_score(labels, said, **given),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, said, **given),
        "precision": oracle.precision_score(labels, said, **zero),
        "recall": oracle.recall_score(labels, said, **zero),
        "f1": oracle.f1_score(labels, said, **zero),
        "mcc": oracle.matthews_corrcoef(labels, said, **given),
    }


@settings(deadline=None)
@given(ROWS)
def test_weighted_binary_metrics_are_those_of_scikit_learn(rows):
    scores, labels, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    there = labels[weights > 0]
    if len(set(there)) < 2:
        return
    for name, expected in binary_oracles(scores, labels, weights).items():
        found = BINARY[name].prepare(scores, labels)(np.stack([weights, weights]))
        if name == "mcc" and expected == 0:
            assert found[0] == pytest.approx(0, abs=1e-12) or math.isnan(found[0])
            continue
        assert found[1] == pytest.approx(expected, nan_ok=True, rel=1e-9), name


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_weighted_metrics_of_several_classes_are_those_of_scikit_learn(seed):
    draw = np.random.default_rng(seed)
    scores = draw.dirichlet(np.ones(3), 30)
    labels, weights = draw.integers(0, 3, 30).astype(float), draw.integers(0, 4, 30).astype(float)
    weights[[int(np.flatnonzero(labels == one)[0]) for one in np.unique(labels)]] = 1
    guess, given = scores.argmax(axis=1), {"sample_weight": weights}
    names = np.unique(labels)
    expected = {
        "logloss": oracle.log_loss(labels, scores, labels=[0, 1, 2], **given),
        "accuracy": oracle.accuracy_score(labels, guess, **given),
        "f1_macro": oracle.f1_score(labels, guess, average="macro", labels=names, **given),
        "f1_weighted": oracle.f1_score(labels, guess, average="weighted", labels=names, **given),
        "balanced_accuracy": oracle.balanced_accuracy_score(labels, guess, **given),
        "auc": np.mean([oracle.roc_auc_score(labels == one, scores[:, int(one)], **given) for one in names]),
    }
    for name, value in expected.items():
        assert MULTICLASS[name].prepare(scores, labels)(weights[None])[0] == pytest.approx(value), name


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_weighted_regression_metrics_are_those_of_scikit_learn(seed):
    draw = np.random.default_rng(seed)
    labels, scores = draw.normal(5, 2, 30), draw.normal(5, 2, 30)
    weights = draw.integers(0, 4, 30) + (np.arange(30) < 2) * 1.0
    given = {"sample_weight": weights}
    expected = {
        "rmse": oracle.root_mean_squared_error(labels, scores, **given),
        "mae": oracle.mean_absolute_error(labels, scores, **given),
        "r2": oracle.r2_score(labels, scores, **given),
        "mape": oracle.mean_absolute_percentage_error(labels, scores, **given),
        "bias": np.average(scores - labels, weights=weights),
        "smape": np.average(2 * np.abs(scores - labels) / (np.abs(scores) + np.abs(labels)), weights=weights),
    }
    for name, value in expected.items():
        assert REGRESSION[name].prepare(scores, labels)(weights[None])[0] == pytest.approx(value), name


def test_labels_of_one_class_leave_what_needs_two_open():
    found = {
        name: metric.prepare(np.array([0.2, 0.9]), np.zeros(2))(np.ones((1, 2)))[0] for name, metric in BINARY.items()
    }
    assert math.isnan(found["auc"]) and math.isnan(found["recall"]) and found["accuracy"] == 0.5


def test_bootstrap_intervals_cover_and_repeat():
    """Of 200 samples with a known mean, about 90 % of the 90 % intervals hold it."""
    from raylake.train.evaluation.weighted import mean_of

    draw = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        sample = draw.exponential(2.0, 80)
        low, high = interval(bootstrap({"m": mean_of(sample)}, 80, 300, seed)["m"], 0.9)
        hits += low <= 2.0 <= high
    assert 165 <= hits <= 195
    twice = [bootstrap({"m": mean_of(sample)}, 80, 50, seed)["m"] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(twice[0], twice[1])
    assert (twice[0] != twice[2]).any()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_ndcg_is_that_of_scikit_learn(seed, k):
    draw = np.random.default_rng(seed)
    scores, gains = draw.permutation(24).astype(float), draw.integers(0, 4, 24).astype(float)
    groups = np.repeat(["a", "b", "c"], 8)
    some = [one for one in "abc" if gains[groups == one].any()]
    if not some:
        return
    shuffled = draw.permutation(24)
    found = train.evaluate_ranking(scores[shuffled], gains[shuffled], groups[shuffled], k=k)
    expected = [oracle.ndcg_score([2 ** gains[groups == one] - 1], [scores[groups == one]], k=k) for one in some]
    assert found[f"ndcg@{k}"] == pytest.approx(np.mean(expected))
    assert found["groups"] == len(some)
    if k == 6:
        return
    first = [next((1 / (n + 1) for n in range(k) if ranked[n] > 0), 0.0) for ranked in
             (gains[groups == one][np.argsort(-scores[groups == one])] for one in some)]  # fmt: skip
    assert found[f"mrr@{k}"] == pytest.approx(np.mean(first))


def test_map_of_a_full_list_is_the_mean_of_average_precisions():
    draw = np.random.default_rng(3)
    scores, gains, groups = draw.permutation(40).astype(float), draw.integers(0, 2, 40).astype(float), np.arange(40) % 4
    each = [oracle.average_precision_score(gains[groups == one], scores[groups == one]) for one in range(4)]
    found = train.evaluate_ranking(scores, gains, groups, k=10, resamples=50)
    assert found["map@10"] == pytest.approx(np.mean(each))
    assert found["intervals"]["map@10"][0] <= found["map@10"] <= found["intervals"]["map@10"][1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [0.0], ["a"]), "nothing can be ranked"),
        (([], [], []), "0 rows"),
        (([1.0], [-1.0], ["a"]), "0 or more"),
        (([1.0, 2.0], [1.0], ["a"]), "differ in shape"),
    ],
)
def test_lists_that_cannot_be_ranked(arguments, message):
    with pytest.raises(DataError, match=message):
        train.evaluate_ranking(*arguments)


def test_mase_of_a_seasonal_series_by_hand():
    history = [10.0, 20.0, 12.0, 24.0]
    found = train.evaluate_forecast([13.0, 25.0], [14.0, 28.0], history=history, season=2, resamples=20)
    assert found["mase"] == pytest.approx(2.0 / 3.0)
    assert found["rmsse"] == pytest.approx(math.sqrt((1 + 9) / 2) / math.sqrt((4 + 16) / 2))
    assert found["smape"] == pytest.approx((2 / 27 + 6 / 53) / 2) and found["wape"] == pytest.approx(4 / 42)
    assert found["bias"] == -2 and set(found["intervals"]) == {*found} - {"n", "intervals"}
    two = train.evaluate_forecast(
        [1.0, 100.0], [2.0, 102.0], history={"a": [1.0, 2.0], "b": [0.0, 4.0]}, series=["a", "b"]
    )
    assert two["mase"] == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert math.isnan(train.evaluate_forecast([1.0], [0.0])["mape"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": [1.0]}, "has 1 values"),
        ({"history": [2.0, 2.0]}, "never changes"),
        ({"history": {"a": [1.0, 2.0]}}, "which one each row belongs to"),
        ({"history": {"a": [1.0, 2.0]}, "series": ["b", "b"]}, "lacks the series 'b'"),
    ],
)
def test_histories_that_scale_nothing(options, message):
    with pytest.raises(DataError, match=message):
        train.evaluate_forecast([1.0, 2.0], [1.0, 2.0], **options)


def test_the_cheapest_threshold_follows_the_costs():
    draw = np.random.default_rng(0)
    scores = draw.random(20_000)
    labels = (draw.random(20_000) < scores).astype(float)
    for costs in (train.Costs(1, 1), train.Costs(1, 4), train.Costs(3, 1)):
        found = cheapest(thresholds(scores, labels, costs))
        assert found.value == pytest.approx(costs.best_if_calibrated, abs=0.06)
        said = scores >= found.value
        assert found.recall == pytest.approx(oracle.recall_score(labels, said))
        assert found.precision == pytest.approx(oracle.precision_score(labels, said))
    with pytest.raises(ConfigError, match="must cost more"):
        train.Costs(false_positive=-1)
    bins = calibration(scores, labels)
    assert sum(one.rows for one in bins) == 20_000 and all(abs(one.score - one.share) < 0.04 for one in bins)
    assert all(one.low <= one.share <= one.high for one in bins)


INPUTS = ("distance", "night")


def stored_model(ws, name: str, seed: int = 0, columns: tuple[str, ...] = INPUTS, rows: int = 400, **register):
    """A logistic model of some columns, registered."""
    from raylake.train.flavours import to_frame

    frame = label_frame(rows, seed)
    inputs = frame.select(list(columns))
    model = LogisticRegression(max_iter=2000).fit(to_frame(inputs), frame["late"].to_numpy(zero_copy_only=False))
    digest = train.store_model(ws, model, inputs, task="binary", label="late")
    return registry.register_artifact(ws, digest, name=name, **register)


@pytest.fixture
def frozen(ws):
    return str(data.write(ws, "holdout", label_frame(600, seed=9)))


def test_an_evaluation_is_recorded_with_its_version_plots_and_lineage(ws, frozen, tmp_path):
    version = stored_model(ws, "late", alias="champion")
    found = train.evaluate_model(ws, "late@champion", "holdout", slices=["carrier", "distance", "night", "wind"])
    assert (found.model, found.data, found.rows, found.task) == ("late@1", "holdout@1", 600, "binary")
    rows = label_frame(600, seed=9)
    assert found.metrics["auc"] == pytest.approx(
        train.evaluate(train.predict_table(ws, version, rows), rows["late"].to_numpy(zero_copy_only=False))["auc"]
    )
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high or name == "calibration_error", name
    names = [one.name for one in found.slices]
    assert {"carrier=AA", "night=True", "wind is missing"} <= set(names) and sum("distance" in n for n in names) == 4
    assert sum(one.rows for one in found.slices if "carrier" in one.name) == 600
    (record,) = registry.evaluations(ws, model="late")
    assert record.metrics["auc"] == found.metrics["auc"] and record.artifact == found.artifact
    assert record.node in {edge.target for edge in registry.downstream(ws, version.node)}
    folder = registry.fetch_folder(ws, found.artifact, tmp_path / "e")
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["metrics"]["auc"] == found.metrics["auc"] and len(report["predicted_actual"]) == 100
    for name in ("roc", "precision_recall", "calibration", "scores", "cost"):
        assert (folder / f"{name}.svg").read_text().startswith("<?xml")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    again = train.evaluate_model(ws, "late@champion", "holdout", slices=["carrier", "distance", "night", "wind"])
    assert (again.artifact, again.intervals) == (found.artifact, found.intervals)


def test_models_are_ranked_over_one_frozen_set(ws, frozen):
    stored_model(ws, "late", columns=("night",))
    stored_model(ws, "late", columns=INPUTS)
    stored_model(ws, "other", columns=("distance",))
    for ref in ("late@1", "late@2", "other@1"):
        train.evaluate_model(ws, ref, frozen, plots=False, resamples=0)
    train.evaluate_model(ws, "late@1", label_frame(50), plots=False)
    places = train.leaderboard(ws, frozen, "auc")
    assert [place.model for place in places] == ["late@2", "other@1", "late@1"]
    assert [place.rank for place in places] == [1, 2, 3]
    assert [place.model for place in train.leaderboard(ws, frozen, "logloss", models=["late"])] == ["late@2", "late@1"]
    with pytest.raises(NotFound, match="evaluated tables: holdout@1"):
        train.leaderboard(ws, "holdout@7", "auc")
    with pytest.raises(ConfigError, match="'gini' is not known"):
        train.leaderboard(ws, frozen, "gini")


def test_gates_say_in_one_sentence_why(ws, frozen):
    weak, strong = stored_model(ws, "late", columns=("night",)), stored_model(ws, "late")
    passed = train.judge(ws, train.Gate("auc", beat_by=0.05, confidence=0.95), strong, weak, frozen)
    assert passed and passed.gain > 0.05 and passed.interval[0] > 0.05
    assert passed.sentence.startswith("late@2 passes: auc is 0.") and "better by" in passed.sentence
    failed = train.judge(ws, train.Gate("auc"), weak, strong, frozen)
    assert not failed and failed.gain == pytest.approx(-passed.gain)
    assert failed.sentence.endswith("of late@2; at least +0 is asked.") and "worse by" in failed.sentence
    same = train.judge(ws, train.Gate("logloss"), strong, strong, frozen)
    assert same and same.interval == (0, 0) and "as good as late@2" in same.sentence
    assert not train.judge(ws, train.Gate("brier", at_least=0.01), strong, None, frozen)
    assert train.judge(ws, train.Gate("auc", at_least=0.6), strong, None, frozen).sentence.startswith(
        "late@2 passes: there is"
    )


def test_no_slice_may_be_worse(ws, frozen):
    champion = stored_model(ws, "late")
    rows = label_frame(600, seed=9)
    gate = train.Gate("brier", beat_by=-1, slices=("carrier",), slice_loss=0.01)
    assert train.judge(ws, gate, champion, champion, frozen).sentence.endswith(
        "none of 3 slices is worse by more than 0.01."
    )
    night = stored_model(ws, "late", columns=("night",))
    found = train.judge(ws, gate, night, champion, rows)
    worst = min(found.slices, key=found.slices.get)
    assert not found and f"where {worst}, and 0.01 is allowed" in found.sentence
    few = train.judge(
        ws, train.Gate("brier", beat_by=-1, slices=("carrier",), slice_loss=0.0, slice_rows=500), night, champion, rows
    )
    assert few and few.slices == {}


def test_what_cannot_be_evaluated_is_not_recorded(ws, frozen):
    stored_model(ws, "late")
    rows = label_frame(50)
    one = rows.set_column(rows.column_names.index("late"), "late", pa.array([True] * 50))
    gap = rows.set_column(rows.column_names.index("late"), "late", pa.array([None, *[1.0, 0.0] * 25][:50]))
    cases = [
        (
            lambda: train.evaluate_model(ws, "late@1", rows.drop_columns(["late"])),
            SchemaMismatch,
            "label column 'late'",
        ),
        (lambda: train.evaluate_model(ws, "late@1", rows.drop_columns(["night"])), SchemaMismatch, "'night' missing"),
        (lambda: train.evaluate_model(ws, "late@1", rows, slices=["tail"]), SchemaMismatch, "'tail' to slice by"),
        (lambda: train.evaluate_model(ws, "late@1", rows.slice(0, 0)), DataError, "0 rows"),
        (lambda: train.evaluate_model(ws, "late@1", gap), DataError, "is missing in 1 of 50"),
        (lambda: train.evaluate_model(ws, "late@1", rows, label="minutes"), DataError, "other than 0 and 1"),
        (lambda: train.evaluate_model(ws, "late@1", rows, metrics=["gini"]), ConfigError, "'gini' is not known"),
        (lambda: train.evaluate_model(ws, "late@9", frozen), NotFound, "no version 9"),
        (lambda: train.evaluate_model(ws, "late@1", "no-such"), NotFound, "no-such"),
        (lambda: train.judge(ws, train.Gate("gini"), "late@1", None, rows), ConfigError, "'gini'"),
        (lambda: train.judge(ws, train.Gate("auc"), "late@1", "late@1", one), DataError, "do not vary"),
        (lambda: train.Gate("auc", slice_loss=0.1), ConfigError, "columns to slice by"),
        (lambda: train.Gate("auc", confidence=2), ConfigError, "share such as 0.95"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
    assert registry.evaluations(ws) == []
    found = train.evaluate_model(ws, "late@1", one, plots=True)
    assert math.isnan(found.metrics["auc"]) and found.metrics["accuracy"] > 0


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_are_evaluated_and_drawn(ws, task, tmp_path):
    from sklearn.linear_model import Ridge

    from raylake.train.flavours import to_frame

    frame = label_frame(400)
    inputs, minutes = frame.select(list(INPUTS)), frame["minutes"].to_numpy()
    if task == "regression":
        model, rows = Ridge().fit(to_frame(inputs), minutes), frame
    else:
        named = np.array(["early", "late", "middle"])[np.digitize(minutes, np.quantile(minutes, [0.3, 0.7]))]
        model = LogisticRegression(max_iter=2000).fit(to_frame(inputs), named)
        rows = frame.append_column("when", pa.array(named))
    label = "minutes" if task == "regression" else "when"
    digest = train.store_model(ws, model, inputs, task=task, label=label)
    registry.register_artifact(ws, digest, name="m")
    found = train.evaluate_model(ws, "m@1", str(data.write(ws, "rows", rows)), slices=["carrier"], resamples=30)
    assert found.metrics["r2" if task == "regression" else "accuracy"] > 0.1
    folder = registry.fetch_folder(ws, found.artifact, tmp_path / "e")
    wanted = {"multiclass": {"confusion", "calibration"}, "regression": {"predicted_actual", "residuals"}}[task]
    assert {path.stem for path in folder.glob("*.png")} == wanted
