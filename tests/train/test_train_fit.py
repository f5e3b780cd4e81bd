import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from raylake import registry, train
from raylake.core import ComputeUnavailable, NotFound, SchemaMismatch, TrainingFailed


@pytest.fixture
def fast(ray_ws, frame, training):
    """A spec that fits within a second."""
    return train.Spec(train.XGBoost(20, max_depth=3), training(ray_ws, frame(600)), name="late")


def test_fit_records_everything(ray_ws, fast):
    run = train.fit(ray_ws, fast)
    assert (run.kind, run.name, run.status) == ("train", "late", "finished")
    assert run.metrics["auc"] > 0.8 and run.metrics["logloss"] < 0.6
    assert (run.metrics["rows"], run.metrics["rows_validation"], run.metrics["rounds"]) == (480, 120, 20)
    assert run.params["trainer"] == {"kind": "xgboost", "rounds": 20, "max_depth": 3} and run.params["seed"] == 0
    assert run.inputs == (fast.training.version.node,)
    assert run.tags["environment"]["libraries"]["xgboost"] and run.tags["resources"]["workers"] == 1
    assert run.tags["environment"]["git"] is None or len(run.tags["environment"]["git"]["commit"]) == 40
    curve = registry.metric_history(ray_ws, run.id, "valid_logloss")
    assert curve[0][1] > curve[-1][1] and curve[-1][0] == 20
    edges = registry.upstream_columns(ray_ws, run.node, "carrier")
    assert {(str(edge.source), edge.source_column, edge.how) for edge in edges} >= {
        (str(run.node), "carrier", "Ordinal"),
        (str(fast.training.version.node), "carrier", ""),
    }
    assert run.metrics["train_seconds"] <= run.metrics["ray_train_seconds"] <= run.metrics["seconds"]


def test_the_artifact_is_the_measured_model(ray_ws, fast):
    run = train.fit(ray_ws, fast)
    version = registry.register(ray_ws, run, name="flight-delay", alias="champion")
    rows = registry.table_version(ray_ws, "training.flights")
    scores = {
        name: train.predict_table(ray_ws, ref, str(rows))
        for name, ref in {"alias": "flight-delay@champion", "version": version, "digest": run.artifact}.items()
    }
    np.testing.assert_array_equal(scores["alias"], scores["version"])
    np.testing.assert_array_equal(scores["alias"], scores["digest"])
    assert train.open_model(ray_ws, version).info["run"] == run.id
    assert version.node in {edge.target for edge in registry.downstream(ray_ws, fast.training.version.node)}
    with pytest.raises(NotFound, match="no-such"):
        train.open_model(ray_ws, "no-such")


def test_the_same_spec_gives_the_same_model(ray_ws, fast):
    spec = fast.replace(trainer=train.XGBoost(20, subsample=0.5), seed=3)
    first, second = (train.open_model(ray_ws, train.fit(ray_ws, spec).artifact) for _ in range(2))
    assert first.info["files"]["model.ubj"] == second.info["files"]["model.ubj"]
    other = train.open_model(ray_ws, train.fit(ray_ws, spec.replace(seed=4)).artifact)
    assert other.info["files"]["model.ubj"] != first.info["files"]["model.ubj"]


def test_run_and_model_say_which_moments_were_used(ray_ws, frame, training):
    rows = frame(600)
    rows = rows.append_column(
        "expires", pa.array([datetime(2099, 1, 1, tzinfo=UTC)] * 600, rows.schema.field("at").type)
    )
    spec = train.Spec(train.XGBoost(5), training(ray_ws, rows))
    ends = [datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=599)]
    whole, without = (train.fit(ray_ws, spec.replace(validation=share)) for share in (0.2, 0))
    early = train.fit(ray_ws, spec.replace(validation=(ends[0] + timedelta(hours=100), ends[0] + timedelta(hours=300))))
    for run, last in ((whole, ends[1]), (without, ends[1]), (early, ends[0] + timedelta(hours=299))):
        info = train.open_model(ray_ws, run.artifact).info
        assert (info["event_time"], info["window"]) == ("at", [ends[0].isoformat(), last.isoformat()])
        assert (run.tags["event_time"], run.tags["window"]) == ("at", info["window"])


def test_without_validation_metrics_are_of_the_training_rows(ray_ws, fast):
    metrics = train.fit(ray_ws, fast.replace(validation=0)).metrics
    assert metrics["train_auc"] > 0.8 and "auc" not in metrics and metrics["rows"] == 600


def test_a_network_fits_and_loads(ray_ws, fast):
    run = train.fit(ray_ws, fast.replace(trainer=train.MLP((16,), epochs=15, lr=0.01, batch_size=64)))
    assert run.metrics["auc"] > 0.8 and run.metrics["rounds"] == 15
    assert train.open_model(ray_ws, run.artifact).info["flavour"] == "torch"


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (train.XGBoost(5, max_depth=-3), "worker 0: XGBoostError: .*max_depth"),
        (train.MLP((8,), epochs=2, lr=1e30), "worker 0: ValueError: loss became"),
        (train.Lightning("no_such_module:Net"), "worker 0: ConfigError: .*no_such_module"),
    ],
)
def test_a_failing_worker_leaves_a_failed_run_without_model(ray_ws, fast, trainer, message):
    with pytest.raises(TrainingFailed, match=f"(?s){message}"):
        train.fit(ray_ws, fast.replace(trainer=trainer))
    (run,) = registry.runs(ray_ws)
    assert run.status == "failed" and run.artifact is None and "worker 0" in run.error
    assert run.ended_at is not None


def test_what_cannot_start_is_not_recorded(ray_ws, fast):
    with pytest.raises(ComputeUnavailable, match=r"1 worker.s. with 100 CPU each do not fit: the cluster has \d+ CPU"):
        train.fit(ray_ws, fast.replace(compute=train.Compute(cpus=100)))
    with pytest.raises(ComputeUnavailable, match="GPU"):
        train.fit(ray_ws, fast.replace(compute=train.Compute(gpus=8)))
    with pytest.raises(SchemaMismatch, match="'nothing'"):
        train.fit(ray_ws, fast.replace(label="nothing"))
    assert registry.runs(ray_ws) == []


def interrupt_when_running(ws, kind: str) -> threading.Thread:
    """Press Ctrl-C once a run of `kind` is recorded as running; again after a minute, as people do, if nothing came."""

    def runs() -> bool:
        return bool(registry.runs(ws, kind=kind, status="running"))

    def watch() -> None:
        while not runs():
            time.sleep(0.05)
        time.sleep(1)
        while runs():
            os.kill(os.getpid(), signal.SIGINT)
            pressed = time.monotonic()
            while runs() and time.monotonic() < pressed + 60:
                time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_ctrl_c_stops_the_run_and_frees_the_cluster(ray_ws, fast):
    watcher = interrupt_when_running(ray_ws, "train")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train.fit(ray_ws, fast.replace(trainer=train.XGBoost(1_000_000)))
    watcher.join()
    (run,) = registry.runs(ray_ws)
    assert run.status == "stopped" and run.artifact is None
    assert signal.getsignal(signal.SIGINT) is before
    assert train.fit(ray_ws, fast).status == "finished"
