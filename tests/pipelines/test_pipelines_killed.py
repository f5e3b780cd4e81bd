"""kill -9 at random moments: drivers, workers, the scheduler. The tables come out as if nothing had happened."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kill_cases import PARTS, check, tables

from raylake import pipelines
from raylake.core import Workspace

KILLS = {"worker": 25, "driver": 3, "scheduler": 2}
TITLES = {"worker": "ray::tables.", "driver": "ray::DriverHost", "scheduler": "ray::SchedulerActor"}
SIDE_BY_SIDE = 2
HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_tables_are_the_same_after_thirty_kills(ray_ws: Workspace) -> None:
    chance = random.Random(20131231)
    order = [kind for kind, count in KILLS.items() for _ in range(count)]
    chance.shuffle(order)
    pipelines.start_scheduler(ray_ws, period=0.1)
    raylet, runs, until = _raylet(), dict[str, str](), time.monotonic() + 900
    try:
        while order and time.monotonic() < until:
            for _ in range(SIDE_BY_SIDE - len(_active(ray_ws))):
                name = f"t{len(runs)}"
                runs[name] = pipelines.submit(ray_ws, tables, {"name": name})
            if victims := _victims(raylet, order[-1]):
                time.sleep(chance.uniform(0.0, 0.1))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    order.pop()
            time.sleep(0.02)
        while _active(ray_ws) and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        pipelines.stop_scheduler(ray_ws)
    assert not order, f"{len(order)} of {sum(KILLS.values())} kills found no victim in time"
    found = [pipelines.show(ray_ws, run) for run in runs.values()]
    assert {run.state for run in found} == {"finished"}
    again = sum(max(step.attempt - 1, 0) for run in found for step in run.steps)
    assert again >= 10, f"steps were really interrupted: {again} further attempts"
    for name in runs:
        check(ray_ws, name)


def _active(ws: Workspace) -> list[pipelines.PipelineRun]:
    return [run for run in pipelines.runs(ws) if run.ended_at is None]


def _raylet() -> psutil.Process:
    """The parent of every Ray process of this test's own cluster."""
    return next(each for each in psutil.Process().children(recursive=True) if each.name() == "raylet")


def _victims(raylet: psutil.Process, kind: str) -> list[int]:
    """Workers that run a step, the actor that drives runs, or the scheduler."""
    found = []
    for process in raylet.children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if " ".join(process.cmdline()).startswith(TITLES[kind]):
                found.append(process.pid)
    return found


@pytest.mark.slow
def test_a_driver_of_its_own_process_killed_again_and_again(ray_ws: Workspace) -> None:
    import ray

    chance = random.Random(7)
    run = pipelines.submit(ray_ws, tables, {"name": "own"})
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "RAYLAKE_RAY_ADDRESS": address}
    for _ in range(3):
        command = [sys.executable, str(HERE / "kill_cases.py"), ray_ws.root, run, address]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.5, 2.5))
        process.kill()
        process.wait()
    found = pipelines.show(ray_ws, run)
    if found.state != "finished":
        found = pipelines.resume(ray_ws, run)
    assert pipelines.result(ray_ws, found) == 2 * sum(n * 10 + k for n in range(PARTS) for k in range(4))
    check(ray_ws, "own")
