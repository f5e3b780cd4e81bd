"""What is written down of each task: the facts beside its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .records import StepRun
from .state import RunState, Task
from .worker import Outcome


@dataclass
class _Facts:
    inputs: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    attempts: list[dict[str, Any]] = field(default_factory=list)
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Ledger:
    """Facts of every task of a run, and the rows that have changed since they were last taken."""

    def __init__(self, steps: Iterable[StepRun] = ()) -> None:
        self._facts: dict[str, _Facts] = {step.key: _from_record(step) for step in steps}
        self._written: Mapping[str, Task] = {}
        self._touched: set[str] = set()

    def started(self, task: str, inputs: Mapping[str, str], moment: datetime) -> None:
        """An attempt begins."""
        facts = self._of(task)
        facts.inputs, facts.started_at, facts.ended_at = inputs, moment, None

    def ended(self, task: str, number: int, moment: datetime, outcome: Outcome | None, error: str) -> None:
        """An attempt has ended; the worker's own times win over the driver's."""
        facts = self._of(task)
        facts.started_at = outcome.started_at if outcome else facts.started_at
        facts.ended_at = outcome.ended_at if outcome else moment
        if outcome is not None:
            facts.reads, facts.writes = outcome.reads, outcome.writes
        facts.attempts.append(
            {
                "number": number,
                "started_at": facts.started_at.isoformat() if facts.started_at else None,
                "ended_at": facts.ended_at.isoformat(),
                "where": outcome.where if outcome else "",
                "error": error,
                "log": outcome.log if outcome else None,
            }
        )

    def changed(self, state: RunState) -> list[dict[str, Any]]:
        """Rows of the tasks that changed since the last call of `taken`."""
        return [
            self._row(key, task, state)
            for key, task in state.tasks.items()
            if self._written.get(key) is not task or key in self._touched
        ]

    def taken(self, state: RunState) -> None:
        """What `changed` returned for `state` is stored."""
        self._written = state.tasks
        self._touched.clear()

    def _of(self, task: str) -> _Facts:
        self._touched.add(task)
        return self._facts.setdefault(task, _Facts())

    def _row(self, key: str, task: Task, state: RunState) -> dict[str, Any]:
        facts = self._facts.get(key) or _Facts()
        return {
            "key": key,
            "state": task.state,
            "attempt": task.attempt,
            "failures": task.failures,
            "crashes": task.crashes,
            "generation": task.generation,
            "width": state.widths.get(key),
            "output": task.output,
            "inputs": dict(facts.inputs),
            "reads": list(facts.reads),
            "writes": list(facts.writes),
            "error": task.error,
            "attempts": facts.attempts,
            "started_at": facts.started_at,
            "ended_at": facts.ended_at,
        }


def tasks_of(steps: Iterable[StepRun]) -> tuple[dict[str, Task], dict[str, int]]:
    """The state machine's view of recorded steps: tasks and widths."""
    tasks, widths = {}, {}
    for step in steps:
        tasks[step.key] = Task(
            step.state, step.attempt, step.failures, step.crashes, step.generation, step.output, error=step.error
        )
        if step.width is not None:
            widths[step.key] = step.width
    return tasks, widths


def rows_of(state: RunState, steps: Iterable[StepRun]) -> list[dict[str, Any]]:
    """Rows of every task of `state`, with the facts of `steps`."""
    return Ledger(steps).changed(state)


def _from_record(step: StepRun) -> _Facts:
    attempts = [
        {
            "number": each.number,
            "started_at": each.started_at.isoformat() if each.started_at else None,
            "ended_at": each.ended_at.isoformat() if each.ended_at else None,
            "where": each.where,
            "error": each.error,
            "log": each.log,
        }
        for each in step.attempts
    ]
    return _Facts(step.inputs, step.reads, step.writes, attempts, step.started_at, step.ended_at)
