"""Pipelines whose registry is PostgreSQL: the same answers, a server that is away for a while, a killed driver."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import test_pipelines_running as running
import test_pipelines_scheduler as scheduling
from kill_cases import PARTS, check, tables
from pipeline_cases import fail_while, square, squares
from tests.postgres import Server, server

from raylake import pipelines
from raylake.core import PipelineFailed, Workspace
from raylake.pipelines import Every, tick
from raylake.registry.engine import raw_engine
from raylake.testing.pipelines import LocalExecutor, LocalLauncher

__all__ = ["server"]
HERE = Path(__file__).parent
SAME = [
    running.test_map_and_fan_in,
    running.test_failure_resume_handlers,
    running.test_cache_by_code_inputs_and_version,
    running.test_retry_of_one_step_runs_what_depends_on_it,
    running.test_cancel_runs_the_finaliser,
    running.test_of_two_drivers_one_wins,
    running.test_lists_of_runs,
    scheduling.test_hourly_runs_get_their_time,
    scheduling.test_overlap,
    scheduling.test_two_schedulers_make_one_run,
    scheduling.test_events,
]


@pytest.fixture(scope="module")
def migrated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the newest schema, to be copied: migrating one for each test takes longer than most tests."""
    name = server.new_database()
    ws = Workspace.open(tmp_path_factory.mktemp("migrated"), registry_url=server.url(name))
    assert pipelines.runs(ws) == []
    raw_engine(ws.registry_url, os.getpid()).dispose()
    return name


@pytest.fixture
def postgres_ws(ws: Workspace, server: Server, migrated: str) -> Workspace:
    """A workspace whose registry is a new database."""
    return dataclasses.replace(ws, registry_url=server.url(server.new_database(migrated)))


@pytest.mark.parametrize("case", SAME, ids=lambda case: case.__name__)
def test_the_same_as_on_sqlite(case: object, postgres_ws: Workspace, tmp_path: Path) -> None:
    wanted = case.__code__.co_varnames[: case.__code__.co_argcount]  # type: ignore[attr-defined]
    given = {"ws": postgres_ws, "tmp_path": tmp_path}
    case(**{name: given[name] for name in wanted})  # type: ignore[operator]


class Interrupting(LocalExecutor):
    """Stops the server before one task and starts it a moment later."""

    def __init__(self, server: Server, before: str) -> None:
        super().__init__()
        self.server, self.before, self.away = server, before, 0

    def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
        if self._queue and self._queue[0][0].task == self.before:
            self.before, self.away = "", self.away + 1
            self.server.stop()
            threading.Timer(1.0, self.server.start).start()
        return super().wait(timeout)  # type: ignore[return-value]


@pytest.mark.parametrize("before", ["numbers", "square[1]", "total"])
def test_a_server_that_is_away_for_a_while_is_waited_for(server: Server, postgres_ws: Workspace, before: str) -> None:
    executor = Interrupting(server, before)
    run = pipelines.submit(postgres_ws, squares, {"count": 3})
    done = pipelines.drive(postgres_ws, run, executor=executor)
    assert (done.state, executor.away, pipelines.result(postgres_ws, done)) == ("finished", 1, 5)
    assert len(executor.ran) == len(set(executor.ran)) == 5, "no step ran twice"


def test_a_scheduler_whose_server_is_away_forgets_nothing(server: Server, postgres_ws: Workspace) -> None:
    from raylake.pipelines.scheduler_actor import SchedulerLoop

    pipe = pipelines.pipeline(name="plain")(lambda: square(2))
    pipelines.schedule(postgres_ws, "s", pipe, Every(0.5), missed="all", overlap="allow")
    loop = SchedulerLoop(postgres_ws, LocalLauncher(), period=0.05)
    thread = threading.Thread(target=loop.run)
    thread.start()
    time.sleep(0.7)
    server.stop()
    time.sleep(1.2)
    server.start()
    time.sleep(1.2)
    loop.stop()
    thread.join(timeout=60)
    times = sorted(run.due_at for run in pipelines.runs(postgres_ws, limit=None) if run.due_at)
    assert len(times) >= 4
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(seconds=0.5)}


def test_two_processes_told_to_resume_one_run(postgres_ws: Workspace, tmp_path: Path) -> None:
    _resumed_at_once(postgres_ws, tmp_path)


def test_two_processes_told_to_resume_one_run_on_sqlite(ws: Workspace, tmp_path: Path) -> None:
    _resumed_at_once(ws, tmp_path)


RESUME = """
import sys, time
sys.path.insert(0, sys.argv[1])
from raylake import pipelines
from raylake.core import Conflict, Workspace
from raylake.testing.pipelines import LocalExecutor
ws = Workspace.open(sys.argv[2], registry_url=sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
try:
    pipelines.resume(ws, sys.argv[4], executor=LocalExecutor())
    print("drove", flush=True)
except Conflict as error:
    print("refused", error, flush=True)
"""


def _resumed_at_once(ws: Workspace, folder: Path) -> None:
    """Two processes resume a failed run in the same moment: one drives it, no step runs twice."""

    marker = folder / "marker"
    marker.touch()

    @pipelines.pipeline(name="shaky")
    def shaky():
        return square.map([fail_while(str(marker), 1), 7], folder=str(folder))

    with pytest.raises(PipelineFailed):
        pipelines.drive(ws, run := pipelines.submit(ws, shaky), executor=LocalExecutor())
    marker.unlink()
    command = [sys.executable, "-c", RESUME, str(HERE), ws.root, ws.registry_url, run]
    several = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in several:
        assert each.stdout is not None and each.stdout.readline() == "ready\n"
    for each in several:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [each.communicate(timeout=60)[0] for each in several]
    assert sum("refused" in text for text in told) == 1, told
    assert sorted((folder / "log.txt").read_text().splitlines()) == ["square 2", "square 7"], "each step once"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_driver_killed_on_ray_is_resumed(postgres_ws: Workspace, ray_cluster: None) -> None:
    import ray

    run = pipelines.submit(postgres_ws, tables, {"name": "pg"})
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, str(HERE / "kill_cases.py"), postgres_ws.root, run, address]
    environment = {**os.environ, "RAYLAKE_RAY_ADDRESS": address, "RAYLAKE_REGISTRY_URL": postgres_ws.registry_url}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    until = time.monotonic() + 60
    while not any(step.state == "finished" for step in pipelines.show(postgres_ws, run).steps):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = pipelines.resume(postgres_ws, run)
    assert pipelines.result(postgres_ws, found) == 2 * sum(n * 10 + k for n in range(PARTS) for k in range(4))
    check(postgres_ws, "pg")
    assert tick(postgres_ws, LocalLauncher(), datetime.now(UTC)).recovered == ()
