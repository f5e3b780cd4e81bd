"""Trainers beside XGBoost and Lightning, and labels of several classes, through Ray."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from tests.train import flavour_models

from raylake import registry, train
from raylake.core import ConfigError, DataError, TrainingFailed

HERE = "tests.train.flavour_models"


def pipeline(model: object) -> object:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="str")), remainder="passthrough"
    )
    return make_pipeline(encode, model)


def with_classes(frame: pa.Table, text: bool) -> pa.Table:
    minutes = frame["minutes"].to_numpy()
    number = np.digitize(minutes, np.quantile(minutes, [1 / 3, 2 / 3]))
    label = np.array(["early", "late", "middle"])[number] if text else number + 5
    return frame.set_column(frame.column_names.index("late"), "late", pa.array(label))


@pytest.mark.parametrize(
    ("trainer", "flavour"),
    [
        (train.Sklearn(pipeline(HistGradientBoostingClassifier(max_iter=20))), "sklearn"),
        (train.Sklearn(LogisticRegression()), "sklearn"),
        (train.LightGBM(30, num_leaves=8, min_data_in_leaf=5), "lightgbm"),
        (train.Function(f"{HERE}:fit_forest", trees=20), "sklearn"),
        (train.Function(f"{HERE}:fit_rule", threshold=1800.0), "function"),
    ],
)
def test_every_trainer_fits_records_and_scores_the_same_from_the_registry(ray_ws, frame, training, trainer, flavour):
    spec = train.Spec(trainer, training(ray_ws, frame(600)), seed=1)
    run = train.fit(ray_ws, spec)
    assert run.status == "finished" and run.metrics["auc"] > 0.7
    assert run.params["trainer"] == trainer.to_dict()
    version = registry.register(ray_ws, run, name="late", alias="champion")
    model = train.open_model(ray_ws, "late@champion")
    assert (model.info["flavour"], model.info["run"]) == (flavour, run.id)
    rows = str(registry.table_version(ray_ws, "training.flights"))
    np.testing.assert_array_equal(
        train.predict_table(ray_ws, version, rows), train.predict_table(ray_ws, "late@champion", rows)
    )
    again = train.open_model(ray_ws, train.fit(ray_ws, spec).artifact)
    assert again.info["files"][again.info["facts"]["file"]] == model.info["files"][model.info["facts"]["file"]]


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    "trainer",
    [
        train.XGBoost(20, max_depth=3),
        train.LightGBM(20, num_leaves=8, min_data_in_leaf=5),
        train.Sklearn(pipeline(RandomForestClassifier(20))),
        train.MLP((16,), epochs=20, lr=0.01, batch_size=64),
        train.Torch(kwargs={"hidden": (16,)}, epochs=20, lr=0.01, batch_size=64),
    ],
    ids=lambda trainer: trainer.kind,
)
def test_several_classes(ray_ws, frame, training, trainer, text):
    made = training(ray_ws, with_classes(frame(600), text))
    run = train.fit(ray_ws, train.Spec(trainer, made, task="multiclass"))
    assert run.metrics["accuracy"] > 0.6 and run.metrics["auc"] > 0.75 and run.metrics["logloss"] < 1.6
    model = train.open_model(ray_ws, run.artifact)
    classes = ("early", "late", "middle") if text else (5, 6, 7)
    assert (model.signature.task, model.signature.classes) == ("multiclass", classes)
    scores = train.predict_table(ray_ws, model, "training.flights")
    assert scores.shape == (600, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert set(model.reference["score"].to_pylist()) <= {0.0, 1.0, 2.0}


def test_values(ray_ws, frame, training):
    for trainer in (train.LightGBM(50, min_data_in_leaf=5), train.Sklearn(Ridge())):
        run = train.fit(ray_ws, train.Spec(trainer, training(ray_ws, frame(600), "minutes")))
        assert run.metrics["r2"] > 0.5


def test_two_texts_are_a_binary_label(ray_ws, frame, training):
    rows = frame(400)
    named = pa.array(np.where(rows["late"].to_numpy(zero_copy_only=False), "yes", "no"))
    made = training(ray_ws, rows.set_column(rows.column_names.index("late"), "late", named))
    run = train.fit(ray_ws, train.Spec(train.XGBoost(20), made))
    assert run.metrics["auc"] > 0.8
    assert train.open_model(ray_ws, run.artifact).signature.classes == ("no", "yes")


@pytest.mark.slow
def test_lightgbm_on_two_workers_grows_the_trees_of_one(ray_ws, frame, training):
    spec = train.Spec(train.LightGBM(60, num_leaves=15, early_stopping=10), training(ray_ws, frame(4000)))
    one = train.fit(ray_ws, spec)
    two = train.fit(ray_ws, spec.replace(compute=train.Compute(workers=2)))
    assert two.metrics["auc"] == pytest.approx(one.metrics["auc"], abs=0.01)
    first, second = (train.predict_table(ray_ws, run.artifact, "training.flights") for run in (one, two))
    assert np.corrcoef(first, second)[0, 1] > 0.98
    assert two.tags["resources"]["workers"] == 2


@pytest.mark.slow
def test_a_search_of_scikit_learn_spreads_over_the_cluster(ray_ws, frame, training):
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1.0]})
    made = training(ray_ws, frame(600), columns=("distance", "night"))
    spec = train.Spec(train.Sklearn(search), made)
    one = train.fit(ray_ws, spec)
    two = train.fit(ray_ws, spec.replace(compute=train.Compute(workers=2)))
    assert one.metrics["auc"] == two.metrics["auc"]
    rows = "training.flights"
    np.testing.assert_array_equal(*(train.predict_table(ray_ws, run.artifact, rows) for run in (one, two)))


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (train.Function(f"{HERE}:fit_nothing"), "ConfigError: dict is no model that raylake stores"),
        (train.Function(f"{HERE}:no_such"), "ConfigError: .*no_such.* cannot be imported"),
        (train.Sklearn(LinearSVC()), "ConfigError: LinearSVC is a classifier without predict_proba"),
    ],
)
def test_what_no_flavour_stores_leaves_a_failed_run_without_model(ray_ws, frame, training, trainer, message):
    with pytest.raises(TrainingFailed, match=f"(?s){message}"):
        train.fit(ray_ws, train.Spec(trainer, training(ray_ws, frame(200))))
    (run,) = registry.runs(ray_ws)
    assert run.status == "failed" and run.artifact is None and registry.models(ray_ws) == []


def test_a_classifier_for_values_is_refused_before_anything_runs(ray_ws, frame, training):
    with pytest.raises(ConfigError, match="LogisticRegression is a classifier, and the label holds numbers"):
        train.fit(ray_ws, train.Spec(train.Sklearn(LogisticRegression()), training(ray_ws, frame(100), "minutes")))
    rows = with_classes(frame(100), True)
    with pytest.raises(DataError, match=r"'late' of .* is text, and the task is regression"):
        train.fit(ray_ws, train.Spec(train.Sklearn(Ridge()), training(ray_ws, rows)))
    assert registry.runs(ray_ws) == []


def test_a_class_that_only_validation_has(ws, frame, training):
    from raylake.train.plan import make_plan

    rows = with_classes(frame(100), True).sort_by("at")
    label = rows["late"].to_pylist()
    label[-1] = "cancelled"
    made = training(ws, rows.set_column(rows.column_names.index("late"), "late", pa.array(label)))
    with pytest.raises(DataError, match="has 'cancelled' in the validation rows only"):
        make_plan(ws, train.Spec(train.XGBoost(), made))


def test_trainers_are_values():
    for trainer, change in (
        (train.Sklearn(pipeline(LogisticRegression(C=0.5))), {"logisticregression__C": 2.0}),
        (train.LightGBM(5, num_leaves=7), {"num_leaves": 9}),
        (train.Function(flavour_models.fit_forest, trees=3), {"trees": 4}),
        (train.XGBoost(5, max_depth=2), {"max_depth": 3}),
        (train.MLP((4,)), {"lr": 0.5}),
    ):
        from raylake.train.trainer_kinds import trainer_from_dict

        assert trainer_from_dict(trainer.to_dict()) == trainer and hash(trainer) == hash(trainer)
        assert trainer.updated(**change) != trainer == trainer.updated()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train.LightGBM(num_leafs=3), "has no parameter 'num_leafs': did you mean"),
        (lambda: train.LightGBM(n_jobs=3), r"use Compute\(cpus"),
        (lambda: train.LightGBM(random_state=3), r"use Spec\(seed"),
        (lambda: train.LightGBM(reg_alpha=3), "main name 'lambda_l1'"),
        (lambda: train.LightGBM(objective="lambdarank").task(), "'lambdarank' is not supported"),
        (lambda: train.LightGBM(rounds=0), "whole number"),
        (lambda: train.Sklearn(LogisticRegression), "is no estimator"),
        (lambda: train.Sklearn(3), "is no estimator"),
        (lambda: train.Sklearn(LogisticRegression()).updated(c=3), "Invalid parameter 'c'"),
        (lambda: train.Sklearn(StandardScaler()).task(), "neither a classifier nor a regressor"),
        (lambda: train.Sklearn(LogisticRegression(class_weight=object())), "cannot be stored in a Spec"),
        (lambda: train.Function(lambda task: None), "cannot be imported by a worker"),
        (lambda: train.Function("fit"), "package.module:name"),
        (lambda: train.Function("a:b", x=object()), "no JSON form"),
    ],
)
def test_trainers_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
