"""Runs that are broken on purpose go on with the very next batch, and end with the same weights."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raylake import registry, train
from raylake.core import ConfigError, NotFound, StorageError, TrainingFailed
from raylake.testing.train_loops import full_disk, hungry, killed_once, slow, weights_of
from raylake.train.checkpoint_store import CheckpointStore, Saved, newest_of
from raylake.train.compute import Resources
from raylake.train.fit import job_of
from raylake.train.plan import make_plan
from raylake.train.resume import find_resumable
from raylake.train.torch_loop import train_torch

NETWORK = train.Torch(kwargs={"hidden": (16,)}, epochs=3, lr=0.01, batch_size=100)
EVERY = train.Checkpoints(every=2, keep=2)


def alone(ws, spec, run="alone", before=""):
    return train_torch(job_of(ws, spec, make_plan(ws, spec), Resources(1, 1, 0, None), run, before))


def state_after(ws, spec, run, steps):
    """Train until `steps` are done, and stop there by force."""
    from raylake.train import work

    usual = work.Work.done

    def done(self, batch, loss):
        usual(self, batch, loss)
        if batch.position.epoch * self.stream.steps + batch.position.step + 1 == steps:
            self.close()
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work.Work, "done", done)
        alone(ws, spec, run)


@pytest.fixture
def spec(ws, frame, training):
    return train.Spec(NETWORK, training(ws, frame(1000)), checkpoints=EVERY)


def test_the_newest_and_the_best_are_kept(ws):
    store = CheckpointStore(ws, "r")
    settings = train.Checkpoints(keep=2, best="valid_loss")
    for number, loss in enumerate([0.5, 0.2, 0.4, float("nan"), 0.3], start=1):
        store.put(Saved("r", number, {}, {"valid_loss": loss}), {"a": b"x" * number})
        store.prune(settings)
    assert [saved.number for saved in store.all()] == [2, 4, 5]
    best = train.Checkpoints(keep=1, best="valid_auc")
    store.put(Saved("r", 6, {}, {"valid_auc": 0.9}), {"a": b"y"})
    store.put(Saved("r", 7, {}, {"valid_auc": 0.8}), {"a": b"y"})
    store.prune(best)
    assert [saved.number for saved in store.all()] == [6, 7]


@pytest.mark.parametrize("damage", ["truncate", "change", "remove", "no description", "half a description"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(ws, spec, damage):
    state_after(ws, spec, "broken", 13)
    store = CheckpointStore(ws, "broken")
    before, newest = store.all()
    assert (before.number, newest.number) == (10, 12)
    folder = Path(ws.runs_url) / "fit-broken" / newest.folder
    largest = max((path for path in folder.iterdir() if path.suffix != ".json"), key=lambda path: path.stat().st_size)
    content, info = largest.read_bytes(), folder / "checkpoint.json"
    match damage:
        case "truncate":
            largest.write_bytes(content[: len(content) // 2])
        case "change":
            largest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "remove":
            largest.unlink()
        case "no description":
            info.unlink()
        case "half a description":
            info.write_text(info.read_text()[:40])
    found = newest_of(ws, "new", "broken")
    assert found is not None and found[0].number == 10
    assert weights_of(alone(ws, spec, "new", "broken").content) == weights_of(alone(ws, spec, "whole").content)


@pytest.mark.parametrize("steps", [3, 8, 13, 16])
def test_a_run_goes_on_with_the_very_next_batch(ws, spec, steps):
    """Also from the end of an epoch; weights and curves are bit-equal to those of a run that was never stopped."""
    dropout = spec.replace(trainer=NETWORK.updated(dropout=0.3))
    state_after(ws, dropout, "first", steps)
    on, whole = alone(ws, dropout, "second", "first"), alone(ws, dropout, "whole")
    assert weights_of(on.content) == weights_of(whole.content)
    assert on.history == whole.history


def test_what_can_be_resumed(ws, spec):
    params = spec.to_dict()
    run = registry.start_run(ws, "train", "flights", params=params)
    with pytest.raises(NotFound, match="no whole checkpoint"):
        find_resumable(ws, spec, run.id)
    CheckpointStore(ws, run.id).put(Saved(run.id, 1), {"a": b"x"})
    assert find_resumable(ws, spec, True) == ""  # it still runs
    registry.finish_run(ws, run.id, status="stopped")
    assert find_resumable(ws, spec.replace(compute=train.Compute(workers=2)), True) == run.id
    assert find_resumable(ws, spec.replace(seed=1), True) == "" == find_resumable(ws, spec, False)
    with pytest.raises(ConfigError, match=r"another Spec: its seed is 0, not 1"):
        find_resumable(ws, spec.replace(seed=1), run.id)
    train.discard_checkpoints(ws, run.id)
    assert find_resumable(ws, spec, True) == ""


def test_a_full_disk_is_told_and_can_be_resumed(ws, spec):
    state_after(ws, spec, "first", 5)
    with pytest.raises(StorageError, match=r"checkpoint \d+ of run second cannot be written .*File too large.*resume"):
        alone(ws, spec.replace(trainer=NETWORK.updated(loop=full_disk)), "second", "first")
    assert CheckpointStore(ws, "second").newest() is None
    assert weights_of(alone(ws, spec, "third", "first").content) == weights_of(alone(ws, spec, "whole").content)


def test_boosting_goes_on_from_its_trees(ws, frame, training, monkeypatch):
    from raylake.train import xgboost_loop

    spec = train.Spec(train.XGBoost(20, max_depth=3), training(ws, frame(600)), checkpoints=train.Checkpoints(every=5))

    def boosted(run, before=""):
        return xgboost_loop.train_xgboost(job_of(ws, spec, make_plan(ws, spec), Resources(1, 1, 0, None), run, before))

    whole = boosted("whole")
    assert [saved.number for saved in CheckpointStore(ws, "whole").all()] == [10, 15]
    assert len(boosted("next", "whole").history["valid_logloss"]) == 5
    assert boosted("next", "whole").content == whole.content


@pytest.mark.slow
def test_kill_9_of_a_worker_and_errors_of_one(ray_ws, frame, training):
    """One killed worker is replaced and goes on; what the worker cannot help ends the run with a clear error."""
    spec = train.Spec(NETWORK.updated(loop=killed_once), training(ray_ws, frame(1000)), checkpoints=EVERY)
    run = train.fit(ray_ws, spec)
    places = (Path(ray_ws.root) / "places").read_text().split("\n")[:-1]
    assert places.index("1 3") < len(places) - 1 and places[places.index("1 3") + 1] == "1 4"
    assert "0 0" not in places[1:] and run.status == "finished" and run.metrics["rounds"] == 3
    assert not (Path(ray_ws.runs_url) / f"fit-{run.id}").exists()
    whole = alone(ray_ws, spec.replace(trainer=NETWORK))
    assert registry.metric_history(ray_ws, run.id, "train_loss")[-1] == (3, whole.history["train_loss"][-1])
    for trainer, message in (
        (NETWORK.updated(lr=1e30), "loss became (nan|inf).*lower lr"),
        (NETWORK.updated(loop=hungry), "ran out of memory"),
        (NETWORK.updated(optimizer="Nothing"), "torch.optim has no optimiser 'Nothing'"),
    ):
        with pytest.raises(TrainingFailed, match=message):
            train.fit(ray_ws, spec.replace(trainer=trainer, checkpoints=train.Checkpoints()))
        assert registry.runs(ray_ws)[0].status == "failed"


DRIVER = """
import sys
import pickle
from pathlib import Path
from raylake import train
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], ray_address=sys.argv[2])
train.fit(ws, pickle.loads(Path(ws.root, "spec").read_bytes()))
"""


@pytest.mark.slow
def test_the_next_driver_goes_on_where_a_killed_one_stopped(ray_ws, frame, training):
    import ray

    spec = train.Spec(NETWORK.updated(loop=slow), training(ray_ws, frame(1000)), checkpoints=EVERY)
    Path(ray_ws.root, "spec").write_bytes(pickle.dumps(spec))
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, ray_ws.root, address], env=environment)
    deadline = time.monotonic() + 120
    while not list(Path(ray_ws.runs_url).glob("fit-*/checkpoint-*/checkpoint.json")):
        assert time.monotonic() < deadline and driver.poll() is None, "no checkpoint came"
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    killed = registry.runs(ray_ws)[0]
    run = train.fit(ray_ws, spec, resume=True)
    assert run.tags["resumes"] == killed.id and registry.run(ray_ws, killed.id).status == "stopped"
    curve = registry.metric_history(ray_ws, run.id, "loss")
    assert run.metrics["rounds"] == 3 and 1 < curve[0][0] < curve[-1][0] == 24
    whole = alone(ray_ws, spec.replace(trainer=NETWORK))
    assert run.metrics["train_loss"] == whole.history["train_loss"][-1]
