"""`kill -9` of a driver in the middle of a fit: its run is ended by the next fit, its worker does not go on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from raylake import registry, train
from raylake.core import Process, has_ended

DRIVER = """
import sys
from raylake import data, features, registry, train
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], ray_address=sys.argv[2])
labels = data.table(ws, "labels")
wanted = features.FeatureSet("flights", [], passthrough=("distance", "wind", "carrier", "night"))
training = features.training_set(ws, "flights", labels=labels, label="late", event_time="at", feature_set=wanted)
train.fit(ws, train.Spec(train.XGBoost(100_000_000, max_depth=3), training, name="endless"))
"""


def _wait(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_next_fit_ends_the_run_of_a_killed_driver(ray_ws, frame, training):
    import ray

    from raylake import data

    data.write(ray_ws, "labels", frame(300))
    address = ray.get_runtime_context().gcs_address
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, ray_ws.root, address], env={**os.environ})
    _wait(lambda: bool(registry.runs(ray_ws, status="running")) or driver.poll() is not None)
    (running,) = registry.runs(ray_ws, status="running")
    time.sleep(1)  # in the middle of training
    here = Process.from_dict(running.tags["process"])
    assert here is not None and here.pid == driver.pid and here.job
    elsewhere = replace(here, system="seen from another machine")
    assert not has_ended(here) and not has_ended(elsewhere)
    driver.kill()
    driver.wait()
    spec = train.Spec(train.XGBoost(5, max_depth=3), training(ray_ws, frame(300)), name="next")
    assert train.fit(ray_ws, spec).status == "finished"
    ended = registry.run(ray_ws, running.id)
    assert (ended.status, ended.artifact) == ("stopped", None)
    assert f"process {driver.pid} on" in ended.error
    _wait(lambda: has_ended(elsewhere))  # the cluster noticed as well
    assert registry.runs(ray_ws, status="running") == []
