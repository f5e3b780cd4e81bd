"""kill -9 at random moments: drivers, workers, the scheduler. The tables come out as if nothing had happened."""

from __future__ import annotations

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

KILLS, SIDE_BY_SIDE = 30, 3
HERE = Path(__file__).parent


def victims(kind: str) -> list[int]:
    """Process ids of this test's own cluster: workers that run steps, or the actor that drives runs."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        is_step = title.startswith("ray::tables.")
        is_driver = title.startswith("ray::DriverHost")
        if (kind == "worker" and is_step) or (kind == "driver" and is_driver):
            found.append(process.pid)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tables_are_the_same_after_thirty_kills(ray_ws: Workspace) -> None:
    import ray

    chance = random.Random(20131231)
    actor = pipelines.start_scheduler(ray_ws, period=0.1)
    kills, runs, until = 0, dict[str, str](), time.monotonic() + 600
    try:
        while kills < KILLS and time.monotonic() < until:
            for _ in range(SIDE_BY_SIDE - len(_active(ray_ws))):
                name = f"t{len(runs)}"
                runs[name] = pipelines.submit(ray_ws, tables, {"name": name})
            time.sleep(chance.uniform(0.02, 0.2))
            kind = chance.choice([*["worker"] * 8, *["driver"] * 2, "scheduler"])
            pid = _scheduler(ray, actor) if kind == "scheduler" else None
            targets = [pid] if pid else victims(kind)
            if targets:
                os.kill(chance.choice(targets), signal.SIGKILL)
                kills += 1
        while _active(ray_ws) and time.monotonic() < until + 60:
            time.sleep(0.1)
    finally:
        pipelines.stop_scheduler(ray_ws)
    assert {pipelines.show(ray_ws, run).state for run in runs.values()} == {"finished"}
    for name in runs:
        check(ray_ws, name)
    assert kills == KILLS


def _active(ws: Workspace) -> list[pipelines.PipelineRun]:
    return [run for run in pipelines.runs(ws) if run.ended_at is None]


def _scheduler(ray: object, actor: object) -> int | None:
    try:
        status = ray.get(actor.status.remote(), timeout=1)  # type: ignore[attr-defined]
    except ray.exceptions.RayError:  # type: ignore[attr-defined]
        return None  # it is being restarted
    return int(status["pid"])


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
