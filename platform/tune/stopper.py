"""Ends a study on Ray Tune when its budget is used up."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Stopper

from .budget import Budget
from .goal import Goal


class BudgetStopper(Stopper):
    """Watches the results of all trials.

    Attributes:
        reason: Why the study was ended; ``""`` while the budget lasts.
    """

    def __init__(self, budget: Budget, goal: Goal, threads: int) -> None:
        self._budget, self._goal, self._threads = budget, goal, threads
        self._started = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._best: float | None = None
        self._since: set[str] = set()
        self.reason = ""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take a report into account; no single trial is stopped."""
        self._seconds[trial_id] = float(result.get("time_total_s", 0))
        value = self._goal.sign * float(result[self._goal.metric])
        if self._best is None or value > self._best:
            self._best, self._since = value, set()
        elif result.get("complete"):
            self._since.add(trial_id)
        return False

    def stop_all(self) -> bool:
        """Whether the budget is used up."""
        self.reason = self.reason or self._reached()
        return bool(self.reason)

    def _reached(self) -> str:
        limit = self._budget
        used = self._threads * sum(self._seconds.values())
        if limit.seconds is not None and time.monotonic() - self._started > limit.seconds:
            return f"the budget of {limit.seconds:g} seconds was used up"
        if limit.cpu_seconds is not None and used > limit.cpu_seconds:
            return f"the budget of {limit.cpu_seconds:g} CPU seconds was used up"
        if limit.patience is not None and len(self._since) >= limit.patience:
            return f"{limit.patience} trials in a row did not improve {self._goal.metric}"
        return ""
