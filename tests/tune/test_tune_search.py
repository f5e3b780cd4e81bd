import os
import signal
import threading
import time

import numpy as np
import pyarrow.compute as pc
import pytest

from raylake import registry, train, tune
from raylake.core import ConfigError, DataError, TrainingFailed

SPACE = {"max_depth": tune.integer(2, 6), "learning_rate": tune.real(0.02, 0.5, log=True)}


@pytest.fixture
def spec(ray_ws, frame, training):
    return train.Spec(train.XGBoost(30), training(ray_ws, frame(1500)), name="late")


def test_a_study_and_its_trials_are_recorded(ray_ws, spec):
    study = tune.search(ray_ws, spec, SPACE, trials=6, seed=1)
    assert (study.run.kind, study.run.status, len(study.trials)) == ("study", "finished", 6)
    assert {trial.status for trial in study.trials} <= {"finished", "stopped"}
    assert {trial.parent for trial in study.trials} == {study.run.id} == {study.best_run.parent}
    for trial in study.trials:
        assert set(trial.params) == set(SPACE) and 0.5 < trial.metrics["auc"] <= 1
        assert 2 <= trial.params["max_depth"] <= 6
        assert (trial.metrics["rounds"] == 30) == (trial.status == "finished")
        steps = [step for step, _ in registry.metric_history(ray_ws, trial.id, "auc")]
        assert steps == sorted(steps) and steps[-1] == trial.metrics["rounds"]
    whole = [trial.metrics["auc"] for trial in study.trials if trial.status == "finished"]
    assert study.best_value == max(whole) == study.run.metrics["best_auc"]
    # The trial's stepwise boosting is the final fit's: same data, same parameters, same metric.
    assert study.best_run.metrics["auc"] == pytest.approx(study.best_value, abs=1e-6)
    assert study.best_run.params["trainer"] == {"kind": "xgboost", "rounds": 30, **study.best_params}
    version = registry.register(ray_ws, study.best_run, name="late", alias="champion")
    assert np.isfinite(train.predict_table(ray_ws, version, "training.flights")).all()


def test_one_at_a_time_a_study_repeats(ray_ws, spec):
    first, second = (tune.search(ray_ws, spec, SPACE, trials=4, concurrency=1, seed=5) for _ in range(2))
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]
    assert first.best_params == second.best_params


def test_the_given_parameters_are_tried_first(ray_ws, spec):
    known = spec.replace(trainer=train.XGBoost(30, max_depth=3, learning_rate=0.1))
    study = tune.search(ray_ws, known, SPACE, trials=2, concurrency=1)
    assert study.trials[0].params == {"max_depth": 3, "learning_rate": 0.1}


def test_hopeless_trials_are_stopped_early(ray_ws, spec):
    space = {"learning_rate": tune.choice(0.3, 1e-6)}
    study = tune.search(ray_ws, spec, space, metric="logloss", trials=8, concurrency=1, seed=2)
    by_rate = {rate: [t for t in study.trials if t.params["learning_rate"] == rate] for rate in (0.3, 1e-6)}
    assert study.best_params == {"learning_rate": 0.3}
    assert by_rate[1e-6] and any(trial.status == "stopped" for trial in by_rate[1e-6])


def test_rounds_and_regression(ray_ws, frame, training):
    made = train.Spec(train.XGBoost(), training(ray_ws, frame(600), "minutes"))
    study = tune.search(ray_ws, made, {"rounds": tune.integer(5, 40)}, trials=3)
    assert study.best_run.metrics["rounds"] == study.best_params["rounds"]
    assert study.best_value == min(t.metrics["rmse"] for t in study.trials if t.status == "finished")


@pytest.mark.slow
def test_networks_are_searched_too(ray_ws, spec):
    made = spec.replace(trainer=train.MLP((8,), epochs=4, batch_size=64))
    study = tune.search(ray_ws, made, {"lr": tune.real(1e-3, 0.1, log=True)}, trials=3)
    assert study.best_run.metrics["auc"] == pytest.approx(study.best_value, abs=0.05)
    assert study.best_run.params["trainer"]["lr"] == study.best_params["lr"]


def test_a_study_whose_trials_all_fail(ray_ws, spec):
    with pytest.raises(TrainingFailed, match=r"all 2 trials failed, the first with: .*max_depth"):
        tune.search(ray_ws, spec, {"max_depth": tune.integer(-9, -3)}, trials=2)
    (study,) = registry.runs(ray_ws, kind="study")
    assert study.status == "failed" and study.artifact is None
    assert {trial.status for trial in registry.trials(ray_ws, study.id)} == {"failed"}
    assert registry.runs(ray_ws, kind="train") == []


def test_one_failing_trial_does_not_end_the_study(ray_ws, spec):
    study = tune.search(ray_ws, spec, {"max_depth": tune.choice(-3, 3)}, trials=5, concurrency=1, seed=3)
    assert {trial.status for trial in study.trials} >= {"failed", "finished"}
    assert study.best_params == {"max_depth": 3} and study.run.status == "finished"


def test_ctrl_c_leaves_nothing_open(ray_ws, spec):
    def watch() -> None:
        while not registry.runs(ray_ws, kind="trial", status="running"):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch)
    watcher.start()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        tune.search(ray_ws, spec.replace(trainer=train.XGBoost(200_000)), SPACE, trials=4)
    watcher.join()
    assert signal.getsignal(signal.SIGINT) is before
    found = registry.runs(ray_ws)
    assert found and {run.status for run in found} == {"stopped"} and not any(run.artifact for run in found)
    assert tune.search(ray_ws, spec, SPACE, trials=1).run.status == "finished"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "gini"}, "'gini' is not known"),
        ({"metric": "rmse"}, "'rmse' is not known for a binary label"),
        ({"mode": "up"}, "mode 'up'"),
        ({"trials": 0}, "trials=0"),
        ({"concurrency": 0}, "concurrency=0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_recorded(ray_ws, spec, changes, message):
    with pytest.raises(ConfigError, match=message):
        tune.search(ray_ws, spec, SPACE, **changes)
    with pytest.raises(ConfigError, match="validation"):
        tune.search(ray_ws, spec.replace(validation=0), SPACE)
    assert registry.runs(ray_ws) == []


def test_validation_rows_of_one_class(ray_ws, frame, training):
    rows = frame(200).sort_by("at")
    late = pc.and_(rows["late"], pc.less(rows["at"], rows["at"][150]))
    made = training(ray_ws, rows.set_column(rows.column_names.index("late"), "late", late))
    with pytest.raises(DataError, match="auc cannot be measured"):
        tune.search(ray_ws, train.Spec(train.XGBoost(5), made), SPACE, metric="auc")
