"""Pipelines without Ray: tasks run in this process, one after the other, when the driver waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from ..core import PipelineFailed, Workspace
from ..pipelines.control import drive
from ..pipelines.executor import Done
from ..pipelines.step import StepOptions
from ..pipelines.worker import Call, execute


class LocalExecutor:
    """An `Executor` in this process.

    Attributes:
        ran: Tasks that were executed, in order.
        crashes: Task to how often its worker is to "die" before it runs.
        lost: Tasks whose worker is to "die" once when its work is done and nobody knows it yet.
        most: Most tasks in flight at once so far.
    """

    def __init__(self, crashes: dict[str, int] | None = None, capacity: int = 8, *, lost: Iterable[str] = ()) -> None:
        self.ran: list[str] = []
        self.crashes = dict(crashes or {})
        self.lost = set(lost)
        self.most = 0
        self._capacity = capacity
        self._queue: list[tuple[Call, Sequence[Any]]] = []

    def check(self, step: str, options: StepOptions) -> None:
        """Everything fits."""

    def capacity(self) -> int:
        """As given."""
        return self._capacity

    def submit(self, call: Call, values: Sequence[Any], options: StepOptions) -> None:
        """Queue it."""
        self._queue.append((call, values))
        self.most = max(self.most, len(self._queue))

    def wait(self, timeout: float) -> list[Done]:
        """Run the oldest."""
        if not self._queue:
            return []
        call, values = self._queue.pop(0)
        if self.crashes.get(call.task, 0) > 0:
            self.crashes[call.task] -= 1
            return [Done(call.task, None, crash="its worker died")]
        self.ran.append(call.task)
        outcome, value = execute(call, *(each[0] for each in values))
        if call.task in self.lost:
            self.lost.remove(call.task)
            return [Done(call.task, None, crash="its worker died")]
        return [Done(call.task, outcome, (value,))]

    def fetch(self, value: Any) -> Any:
        """The value itself: a handle is a tuple of one."""
        return value[0]

    def cancel(self, task: str, *, force: bool) -> None:
        """Drop it if it has not begun."""
        self._queue = [entry for entry in self._queue if entry[0].task != task]


class LocalLauncher:
    """A `Launcher` that drives each run at once, in this process.

    Attributes:
        launched: Runs, in order.
        hold: When true, runs are only noted, as if their drivers had died at once.
    """

    def __init__(self, *, hold: bool = False) -> None:
        self.launched: list[str] = []
        self.hold = hold

    def launch(self, ws: Workspace, run_id: str) -> None:
        """Drive the run to its end."""
        self.launched.append(run_id)
        if not self.hold:
            with contextlib.suppress(PipelineFailed):
                drive(ws, run_id, executor=LocalExecutor())
