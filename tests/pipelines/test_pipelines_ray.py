"""Runs on a real Ray cluster: resources, timeouts, killed workers, cancellation, drivers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pipeline_cases import lines, log, outer, process_id, square, squares

from raylake import pipelines
from raylake.core import ComputeUnavailable, PipelineFailed, Workspace
from raylake.pipelines import step

pytestmark = pytest.mark.timeout(300)


@step(cpus=0.5, backoff=0.01)
def dies_once(folder: str) -> int:
    first = not (Path(folder) / "log.txt").exists()
    log(folder, "dies")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


@step(cpus=0.5, timeout=0.5)
def sleeps(seconds: float, stubborn: bool = False) -> float:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except TimeoutError:
            if not stubborn:
                raise
    return seconds


@step(cpus=0.5)
def waits(folder: str, name: str) -> str:
    log(folder, f"{name} starts")
    time.sleep(60)
    return name


@step(cpus=0.5, environment={"env_vars": {"RAYLAKE_TEST_COLOUR": "blue"}})
def colour() -> str:
    return os.environ.get("RAYLAKE_TEST_COLOUR", "none")


@pipelines.pipeline
def slow(folder: str):
    return waits.map([folder, folder], ["a", "b"])


def test_nested_maps_in_parallel_processes(ray_ws: Workspace) -> None:
    done = pipelines.run(ray_ws, outer, count="4")
    assert pipelines.result(ray_ws, done) == 28
    here = pipelines.run(ray_ws, pipelines.pipeline(name="pid")(lambda: process_id()))
    assert pipelines.result(ray_ws, here, pipeline=None) != os.getpid()


def test_large_values_go_by_reference(ray_ws: Workspace) -> None:
    import numpy as np

    @step(cpus=0.5)
    def make() -> object:
        return np.arange(2_000_000, dtype=np.float64)

    @step(cpus=0.5)
    def shared(values: object) -> bool:
        return not values.flags.writeable  # type: ignore[attr-defined]

    pipe = pipelines.pipeline(name="large")(lambda: shared(make()))
    assert pipelines.result(ray_ws, pipelines.run(ray_ws, pipe)) is True, "an array in the object store is read-only"


def test_a_killed_worker_and_an_environment(ray_ws: Workspace, tmp_path: Path) -> None:
    pipe = pipelines.pipeline(name="dying")(lambda: [dies_once(str(tmp_path)), colour()])
    done = pipelines.run(ray_ws, pipe)
    assert pipelines.result(ray_ws, done) == [7, "blue"]
    assert "its worker died" in done.step("dies-once").attempts[0].error


def test_a_step_that_hangs(ray_ws: Workspace) -> None:
    with pytest.raises(PipelineFailed, match=r"TimeoutError: step 'sleeps' took longer than its timeout of 0.5 s"):
        pipelines.run(ray_ws, pipelines.pipeline(name="hang")(lambda: sleeps(60.0)))


@pytest.mark.slow
def test_a_step_that_ignores_its_timeout_is_killed(ray_ws: Workspace) -> None:
    stubborn = sleeps.with_options(crash_retries=0)
    started = time.monotonic()
    with pytest.raises(PipelineFailed, match=r"its worker died .* has a timeout of 0.5 s"):
        pipelines.run(ray_ws, pipelines.pipeline(name="stubborn")(lambda: stubborn(60.0, stubborn=True)))
    assert time.monotonic() - started < 40


def test_impossible_resources_are_refused_at_once(ray_ws: Workspace) -> None:
    greedy = square.with_options(cpus=1000, resources={"tpu": 1})
    with pytest.raises(ComputeUnavailable, match=r"step 'square' asks for CPU 1000, tpu 1, which no node .*have: CPU"):
        pipelines.run(ray_ws, pipelines.pipeline(name="greedy")(lambda: greedy(1)))
    assert pipelines.runs(ray_ws)[0].state == "failed"


@pytest.mark.slow
def test_a_step_that_dies_of_memory_is_told(ray_ws: Workspace) -> None:
    @step(cpus=0.5, crash_retries=0)
    def eats() -> int:
        import resource

        # As a container's limit would: the kernel refuses the memory, Python cannot go on.
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        return len(bytearray(8 << 30))

    with pytest.raises(PipelineFailed, match=r"step 'eats' failed: .*(MemoryError|its worker died)"):
        pipelines.run(ray_ws, pipelines.pipeline(name="hungry")(lambda: eats()))


def test_cancel_interrupts_running_steps(ray_ws: Workspace, tmp_path: Path) -> None:
    import threading

    def cancel_soon() -> None:
        while len(lines(tmp_path)) < 2:
            time.sleep(0.05)
        (run,) = pipelines.runs(ray_ws, pipeline="slow")
        pipelines.cancel(ray_ws, run.id)

    helper = threading.Thread(target=cancel_soon)
    helper.start()
    started = time.monotonic()
    with pytest.raises(PipelineFailed, match="cancelled"):
        pipelines.run(ray_ws, slow, folder=str(tmp_path))
    helper.join()
    assert time.monotonic() - started < 30
    assert pipelines.runs(ray_ws)[0].state == "cancelled"


@pytest.mark.slow
def test_the_scheduler_actor_restarts_and_forgets_nothing(ray_ws: Workspace) -> None:
    import ray

    once_a_second = {"count": 1}
    pipelines.schedule(
        ray_ws, "often", squares, pipelines.Every(1.0), params=once_a_second, missed="all", overlap="allow"
    )
    actor = pipelines.start_scheduler(ray_ws, period=0.1)
    try:
        for kills in (1, 2):
            _until(lambda kills=kills: len(pipelines.runs(ray_ws)) >= 2 * kills)
            os.kill(_scheduler_pid(ray, actor), signal.SIGKILL)
        before = len(pipelines.runs(ray_ws))
        _until(lambda: len(pipelines.runs(ray_ws)) > before)
        pipelines.enable(ray_ws, "often", False)
        _until(lambda: {run.state for run in pipelines.runs(ray_ws, limit=None)} == {"finished"})
    finally:
        assert pipelines.stop_scheduler(ray_ws)
    times = sorted(run.due_at for run in pipelines.runs(ray_ws, limit=None) if run.due_at)
    assert len(set(times)) == len(times) > 4, "none twice"
    assert all((later - earlier).total_seconds() == 1 for earlier, later in pairwise(times)), "none forgotten"


def _until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come to that in time"
        time.sleep(0.1)


def _scheduler_pid(ray: object, actor: object) -> int:
    for _ in range(100):
        try:
            return int(ray.get(actor.status.remote())["pid"])  # type: ignore[attr-defined]
        except ray.exceptions.RayError:  # type: ignore[attr-defined]
            time.sleep(0.3)  # it is being restarted
    raise AssertionError("the scheduler did not come back")


def test_a_killed_driver_is_taken_over_at_once(ray_ws: Workspace, tmp_path: Path) -> None:
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline_cases import guarded\nfrom raylake import pipelines\nfrom raylake.core import Workspace\n"
        "from raylake.testing.pipelines import LocalExecutor\n"
        "class Dying(LocalExecutor):\n"
        "    def wait(self, timeout):\n"
        "        done = super().wait(timeout)\n"
        "        if 'fail-while' in self.ran: os.kill(os.getpid(), 9)\n"
        "        return done\n"
        "ws = Workspace.open(sys.argv[2])\n"
        "run = pipelines.submit(ws, guarded, {'marker': '/nonexistent', 'folder': sys.argv[3]})\n"
        "pipelines.drive(ws, run, executor=Dying())\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, here, ray_ws.root, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (run,) = pipelines.runs(ray_ws)
    assert run.state == "running"
    ended = pipelines.resume(ray_ws, run.id)
    assert pipelines.result(ray_ws, ended) == 1 + 1 + 49
    assert sorted(lines(tmp_path)) == ["square 1", "square 7"]
