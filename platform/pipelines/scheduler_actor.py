"""The scheduler as a restartable Ray actor, and the drivers of its runs as threads of another."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime
from typing import Any

from ..core import Conflict, PipelineFailed, RaylakeError, Workspace, ensure_ray
from .scheduler import Launcher, tick

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
    """Takes turns until it is stopped; an error of the registry is logged and the next turn tries again."""

    def __init__(self, ws: Workspace, launcher: Launcher, period: float = 1.0) -> None:
        self.turns = 0
        self.busy = 0.0
        self._ws, self._launcher, self._period = ws, launcher, period
        self._stop = threading.Event()

    def run(self) -> None:
        """Take turns in this thread."""
        while not self._stop.is_set():
            started = time.process_time()
            try:
                tick(self._ws, self._launcher, datetime.now(UTC))
            except RaylakeError as error:
                _LOG.warning("the scheduler's turn failed and is tried again: %s", error)
            self.turns += 1
            self.busy += time.process_time() - started
            self._stop.wait(self._period)

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
            "turns": self._loop.turns,
            "busy": self._loop.busy,
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
