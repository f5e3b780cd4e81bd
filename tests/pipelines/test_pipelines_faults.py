"""What goes wrong around a run: a locked registry, no memory, a clock that goes back."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest
from pipeline_cases import flaky, square, squares

from raylake import pipelines
from raylake.core import PipelineFailed, StorageError, Workspace
from raylake.pipelines import StepContext, step
from raylake.pipelines.driver import Driver, Settings
from raylake.registry import engine
from raylake.testing.pipelines import LocalExecutor


class Locking(LocalExecutor):
    """Another process locks the registry's file before one task, for a while."""

    def __init__(self, ws: Workspace, before: str, seconds: float) -> None:
        super().__init__()
        self.file, self.before, self.seconds = Path(ws.root) / "registry.db", before, seconds

    def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
        if self._queue and self._queue[0][0].task == self.before:
            self.before = ""
            locked = threading.Event()
            threading.Thread(target=self._lock, args=(locked,)).start()
            locked.wait(10)
        return super().wait(timeout)  # type: ignore[return-value]

    def _lock(self, locked: threading.Event) -> None:
        other = sqlite3.connect(self.file, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        locked.set()
        time.sleep(self.seconds)
        other.rollback()
        other.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite waits for a lock for a moment only."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)


def registry_file(ws: Workspace) -> Path:
    return Path(ws.registry_url.removeprefix("sqlite:///"))


@pytest.mark.parametrize("before", ["numbers", "square[2]", "total"])
def test_a_registry_that_is_locked_is_waited_for(impatient: None, ws: Workspace, before: str) -> None:
    run = pipelines.submit(ws, squares, {"count": 3})
    executor = Locking(ws, before, 0.8)
    executor.file = registry_file(ws)
    done = pipelines.drive(ws, run, executor=executor)
    assert (done.state, pipelines.result(ws, done)) == ("finished", 5)
    assert len(executor.ran) == len(set(executor.ran)), "no step ran twice"


def test_a_registry_that_stays_locked_ends_the_driver_and_the_run_is_resumed(
    impatient: None, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Driver.__init__, "__defaults__", (Settings(patience=0.3),))
    run = pipelines.submit(ws, squares, {"count": 3})
    executor = Locking(ws, "total", 3.0)
    executor.file = registry_file(ws)
    with pytest.raises(StorageError, match="cannot be used"):
        pipelines.drive(ws, run, executor=executor)
    time.sleep(3.2)
    assert pipelines.show(ws, run).state == "running", "as after a kill"
    again = LocalExecutor()
    monkeypatch.setattr("raylake.pipelines.store.leases.LEASE_SECONDS", 0.0)
    monkeypatch.setattr("raylake.pipelines.store.leases._dead", lambda who: True)
    assert pipelines.result(ws, pipelines.resume(ws, run, executor=again)) == 5
    assert again.ran == ["total"]


@step(cpus=0.5, retries=1, backoff=0.0)
def eats(context: StepContext) -> int:
    if context.attempt == 1:
        return len(bytearray(1 << 62))
    return context.attempt


def test_a_step_without_memory_is_an_error_that_is_retried(ws: Workspace) -> None:
    pipe = pipelines.pipeline(name="hungry")(lambda: eats())
    done = pipelines.drive(ws, pipelines.submit(ws, pipe), executor=LocalExecutor())
    assert [each.error.partition(":")[0] for each in done.step("eats").attempts] == ["MemoryError", ""]
    never = pipelines.pipeline(name="starved")(lambda: eats.with_options(retries=0)())
    with pytest.raises(PipelineFailed, match="step 'eats' failed: MemoryError"):
        pipelines.drive(ws, pipelines.submit(ws, never), executor=LocalExecutor())


def test_a_node_out_of_memory_is_told_with_the_remedy() -> None:
    import ray

    from raylake.pipelines.executor import _reason

    told = _reason(
        ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory"), ray.exceptions
    )
    assert "ran out of memory: reserve more with memory=" in told


def test_a_retry_does_not_wait_for_a_clock_that_was_put_back(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time

    class PutBack(LocalExecutor):
        def wait(self, timeout: float) -> list[object]:  # type: ignore[override]
            found = super().wait(timeout)
            monkeypatch.setattr(time, "time", lambda: right() - 3600.0)
            return found  # type: ignore[return-value]

    pipe = pipelines.pipeline(name="shaky")(lambda: square(flaky(4, str(tmp_path))))
    started = time.monotonic()
    done = pipelines.drive(ws, pipelines.submit(ws, pipe), executor=PutBack())
    assert (pipelines.result(ws, done), time.monotonic() - started < 30) == (16, True)
