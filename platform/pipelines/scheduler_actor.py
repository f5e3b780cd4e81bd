"""The scheduler as a restartable Ray actor, and the drivers of its runs as threads of another."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..core import Conflict, PipelineFailed, RaylakeError, StorageError, Workspace, ensure_ray
from .scheduler import Launcher, tick
from .store import heartbeats, leases
from .store.heartbeats import Beat

ACTOR = "raylake-scheduler"
MOST_DRIVERS = 64  # runs that are driven at once
_LOG = logging.getLogger(__name__)


class RayLauncher:
    """Drives runs in the threads of one actor: a driver mostly waits, and a process of its own would cost seconds.

    The actor belongs to the scheduler's process and ends with it; Ray restarts it when it dies alone. Either way the
    runs that it drove are seen as abandoned, and driven on.
    """

    def __init__(self) -> None:
        import ray

        remote: Any = ray.remote(DriverHost)
        self._host = remote.options(num_cpus=0, max_restarts=-1, max_concurrency=MOST_DRIVERS).remote()

    def launch(self, ws: Workspace, run_id: str) -> None:
        """See `Launcher`."""
        self._host.drive.remote(ws, run_id)


class DriverHost:
    """Drives runs, each in a thread of this actor."""

    def drive(self, ws: Workspace, run_id: str) -> str:
        """Drive one run to its end."""
        return drive_quietly(ws, run_id)


def drive_quietly(ws: Workspace, run_id: str) -> str:
    """Drive a run; how it ended stands in the registry."""
    from .control import drive

    try:
        return drive(ws, run_id).state
    except PipelineFailed:
        return "failed"
    except Conflict as error:
        _LOG.info("run %s has another driver: %s", run_id, error)
        return "conflict"


class SchedulerLoop:
    """Takes turns until it is stopped; an error of the registry is logged and the next turn tries again.

    Every five seconds it tells the registry that it turns, for `schedulers`.
    """

    def __init__(self, ws: Workspace, launcher: Launcher, period: float = 1.0) -> None:
        self.beat = Beat(leases.owner(), datetime.now(UTC), datetime.now(UTC), period)
        self._ws, self._launcher = ws, launcher
        self._told = 0.0
        self._stop = threading.Event()

    def run(self) -> None:
        """Take turns in this thread."""
        while not self._stop.is_set():
            started, error = time.process_time(), ""
            try:
                tick(self._ws, self._launcher, datetime.now(UTC))
            except RaylakeError as caught:
                error = str(caught)
                _LOG.warning("the scheduler's turn failed and is tried again: %s", error)
            busy = self.beat.busy + time.process_time() - started
            self.beat = replace(self.beat, seen_at=datetime.now(UTC), turns=self.beat.turns + 1, busy=busy, error=error)
            self._tell()
            self._stop.wait(self.beat.period)
        with suppress(StorageError):
            heartbeats.forget(self._ws, self.beat)

    def _tell(self) -> None:
        if time.monotonic() < self._told:
            return
        try:
            heartbeats.tell(self._ws, self.beat)
        except StorageError as error:
            _LOG.warning("the scheduler cannot tell that it turns: %s", error)
        self._told = time.monotonic() + heartbeats.BEAT_SECONDS

    def stop(self) -> None:
        """End after the current turn."""
        self._stop.set()


class SchedulerActor:
    """The loop in a Ray actor; Ray restarts it wherever it died, and it goes on from the registry."""

    def __init__(self, ws: Workspace, period: float) -> None:
        self._loop = SchedulerLoop(ws, RayLauncher(), period)
        self._thread = threading.Thread(target=self._loop.run, name="scheduler", daemon=True)
        self._thread.start()

    def status(self) -> dict[str, Any]:
        """Process id, turns so far, CPU seconds spent in them."""
        return {
            "pid": os.getpid(),
            "turns": self._loop.beat.turns,
            "busy": self._loop.beat.busy,
            "alive": self._thread.is_alive(),
        }

    def stop(self) -> None:
        """End after the current turn."""
        self._loop.stop()
        self._thread.join(timeout=10)


def start_scheduler(ws: Workspace, *, period: float = 1.0) -> Any:
    """Start the workspace's scheduler, or find the one that runs. It lives until it is stopped or its cluster ends.

    Args:
        ws: The workspace.
        period: Seconds between two turns.

    Returns:
        The Ray actor's handle; ``ray.get(handle.status.remote())`` tells how it does.

    Example:
        >>> handle = start_scheduler(ws)
        >>> stop_scheduler(ws)
        True
    """
    import ray

    ensure_ray(ws)
    options = {
        "name": ACTOR,
        "namespace": ws.name,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_concurrency": 4,
    }
    remote: Any = ray.remote(SchedulerActor)
    actor = remote.options(**options).remote(ws, period)
    ray.get(actor.status.remote())
    return actor


def schedulers(ws: Workspace) -> list[Beat]:
    """The schedulers that turn now, or did until a moment ago; asks the registry, not the cluster.

    Example:
        >>> import tempfile
        >>> schedulers(Workspace.open(tempfile.mkdtemp()))
        []
    """
    return heartbeats.alive(ws, datetime.now(UTC))


def stop_scheduler(ws: Workspace) -> bool:
    """Stop the workspace's scheduler; whether one ran. Runs that it had started are interrupted and stay resumable.

    Example:
        >>> stop_scheduler(ws)  # none runs
        False
    """
    import ray

    ensure_ray(ws)
    try:
        actor = ray.get_actor(ACTOR, namespace=ws.name)
    except ValueError:
        return False
    ray.get(actor.stop.remote())
    ray.kill(actor, no_restart=True)
    return True
