"""Specs that are stored and run again, models that are trained again, and what a run records unasked."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from raylake import data, features, registry, train
from raylake.core import ConfigError, NotFound

HERE = "tests.train.flavour_models"


@pytest.fixture
def spec(ray_ws, frame, training):
    return train.Spec(train.XGBoost(15, subsample=0.5, max_depth=3), training(ray_ws, frame(500)), seed=4)


def test_a_spec_comes_back_from_json(ws, frame, training):
    made = training(ws, frame(200))
    window = (datetime(2013, 1, 3, tzinfo=UTC), datetime(2013, 1, 5, tzinfo=UTC))
    recipe = data.Recipe([data.Impute(["distance"], "median"), data.Clip(["wind"]), data.OneHot(["carrier"])])
    for spec in (
        train.Spec(train.XGBoost(3, max_depth=2), made, label="late"),
        train.Spec(train.MLP((4, 2)), made, recipe=recipe, validation=window, name="net", label="late"),
        train.Spec(train.Sklearn(RandomForestClassifier(max_features=None)), made, task="binary", label="late"),
        train.Spec(train.Function(f"{HERE}:fit_forest", trees=3), made, compute=train.Compute(cpus=2), label="late"),
        train.Spec(train.LightGBM(3, early_stopping=2), made, validation=0, seed=9, label="late"),
        train.Spec(
            train.Torch(kwargs={"hidden": (4, 2)}, optimizer="SGD", loss="huber", epochs=2, momentum=0.5),
            made,
            label="late",
            compute=train.Compute(workers=(1, 2), resources={"TPU": 1}, parallel="fsdp"),
            checkpoints=train.Checkpoints(every=5, best="valid_loss"),
        ),
    ):
        stored = json.loads(json.dumps(spec.to_dict()))
        assert train.spec_from_dict(ws, stored) == spec.replace(name=spec.run_name)
        assert train.differences(train.spec_from_dict(ws, stored), spec) == ()


def test_differences_name_the_fields(ws, frame, training):
    spec = train.Spec(train.XGBoost(3, max_depth=2), training(ws, frame(100)))
    other = spec.replace(seed=1, trainer=train.XGBoost(3, max_depth=5), compute=train.Compute(cpus=2))
    found = {one.name: (one.a, one.b) for one in train.differences(spec, other)}
    assert found == {"seed": (0, 1), "trainer.max_depth": (2, 5), "compute.cpus": (1, 2)}


def test_what_is_no_stored_spec(ws, frame, training):
    with pytest.raises(ConfigError, match="it lacks label, seed, training, validation"):
        train.spec_from_dict(ws, {"trainer": {}})
    stored = train.Spec(train.XGBoost(3), training(ws, frame(50))).to_dict()
    with pytest.raises(ConfigError, match="trainer 'magic' is not known"):
        train.spec_from_dict(ws, {**stored, "trainer": {"kind": "magic"}})
    with pytest.raises(ConfigError, match="step 'Magic'"):
        train.spec_from_dict(ws, {**stored, "recipe": [{"step": "Magic"}]})
    with pytest.raises(NotFound, match="not made by features"):
        features.stored_training_set(ws, str(data.write(ws, "plain", frame(10))))


def test_a_model_is_trained_again_bit_by_bit(ray_ws, spec):
    registry.register(ray_ws, train.fit(ray_ws, spec), name="late")
    again = train.reproduce(ray_ws, "late@1")
    assert (again.outcome, again.largest, bool(again)) == ("equal", 0.0, True)
    assert again.sentence.startswith("late@1 is reproduced bit by bit")
    assert again.run.tags["reproduces"] == again.original.id and again.run.id != again.original.id
    assert len(registry.model_versions(ray_ws, "late")) == 1


def test_later_data_does_not_disturb(ray_ws, spec, frame, training):
    registry.register(ray_ws, train.fit(ray_ws, spec), name="late")
    training(ray_ws, frame(300, 7))
    assert train.reproduce(ray_ws, "late").outcome == "equal"


def test_other_libraries_and_code_are_named(ray_ws, spec, monkeypatch, tmp_path):
    run = train.fit(ray_ws, spec)
    registry.register(ray_ws, run, name="late")
    before = dict(run.tags["environment"])
    before |= {"libraries": {**before["libraries"], "xgboost": "1.0.0"}, "git": {"commit": "a" * 40, "dirty": True}}
    registry.set_tags(ray_ws, run.id, {"environment": before})
    again = train.reproduce(ray_ws, "late", code=tmp_path)
    assert again.outcome == "equal" and "although xgboost is 3." in again.sentence
    assert "the code is at no commit and was at aaaaaaaaaa" in again.sentence
    assert "the code had changes that no commit holds" in again.sentence
    assert {(one.part, one.name) for one in again.changes} >= {("library", "xgboost"), ("code", "commit")}


def test_a_model_that_differs_is_said_to(ray_ws, spec, frame, training):
    """The same stored Spec, but the function that fits draws freely."""
    made = training(ray_ws, frame(300))
    run = train.fit(ray_ws, train.Spec(train.Function(f"{HERE}:fit_freely"), made))
    registry.register(ray_ws, run, name="free")
    again = train.reproduce(ray_ws, "free")
    assert not again and again.largest > 0.001
    assert "is not reproduced: a score differs by" in again.sentence and "draws or adds freely" in again.sentence
    assert train.reproduce(ray_ws, "free", tolerance=1.0).outcome == "close"


def test_models_without_a_run_cannot_be_trained_again(ws):
    registry.register_artifact(ws, "0" * 64, name="foreign")
    with pytest.raises(ConfigError, match="foreign@1 has no run"):
        train.reproduce(ws, "foreign")


def test_a_run_records_what_nobody_asked_for(ray_ws, frame, training, tmp_path):
    made = training(ray_ws, frame(500))
    run = train.fit(ray_ws, train.Spec(train.Function(f"{HERE}:fit_talking"), made, seed=3))
    assert 0 < run.metrics["cpu_seconds"] < 60 and 0 < run.metrics["wall_seconds"] < 60
    assert 200_000_000 < run.metrics["peak_memory_bytes"] < 8 << 30
    assert run.tags["environment"]["libraries"]["scikit-learn"] and run.params["seed"] == 3
    assert registry.metric_history(ray_ws, run.id, "progress")[-1] == (3, 2.0) or len(
        registry.metric_history(ray_ws, run.id, "progress")
    )
    (entry,) = [one for one in registry.list_artifacts(ray_ws, f"0/{run.id}/artifacts") if one.path.endswith("log.txt")]
    text = registry.get_bytes(ray_ws, entry.digest).decode()
    assert "fitting 400 rows" in text and "WARNING flavour_models: watch out" in text
    folder = registry.fetch_folder(ray_ws, run.artifact, tmp_path / "m")
    found = json.loads((folder / "features.json").read_text())
    assert set(found) == {"distance", "wind", "carrier", "night"}
    wind = frame(500)["wind"].to_numpy(zero_copy_only=False)
    assert found["wind"]["missing"] == int(np.isnan(wind).sum()) and found["wind"]["rows"] == 500
    assert found["wind"]["mean"] == pytest.approx(np.nanmean(wind)) and len(found["carrier"]["frequent"]) == 3
