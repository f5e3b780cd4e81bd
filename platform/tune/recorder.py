"""Writes each trial to the registry, on the driver, while the study runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ray.tune import Callback

from ..core import Workspace
from ..registry import Run, finish_run, log_metrics, marked, start_run
from ..train.evaluate import METRICS

_MEASURES = frozenset(name for names in METRICS.values() for name in names) | {"rounds", "seconds"}


# As in "xgboost.core.XGBoostError: [12:00:00] value -1 for Parameter max_depth ...".
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Mismatch|Corrupt)\b.*: ")


class Recorder(Callback):
    """Ray Tune's callback: one registry run per trial, child of the study's run.

    Attributes:
        ended: Finished trial runs by Ray's trial id.
    """

    def __init__(self, ws: Workspace, study: Run) -> None:
        self._ws = ws
        self._study = study
        self._open: dict[str, Run] = {}
        self.ended: dict[str, Run] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial begins: its run is recorded as running."""
        if trial.trial_id in self._open or trial.trial_id in self.ended:
            return
        self._open[trial.trial_id] = start_run(
            self._ws,
            "trial",
            self._study.name,
            params=chosen(trial.config),
            tags=marked(),
            inputs=self._study.inputs,
            parent=self._study.id,
        )

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial reports: its metrics are logged at the number of rounds."""
        found = measures(result)
        log_metrics(self._ws, self._open[trial.trial_id].id, found, step=int(found["rounds"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ends: ``finished`` when it trained all its rounds, ``stopped`` when the scheduler ended it."""
        result = trial.last_result or {}
        self._end(trial.trial_id, "finished" if result.get("complete") else "stopped", result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial fails: the error is kept, the study goes on."""
        self._end(trial.trial_id, "failed", trial.last_result or {}, _reason(trial.error_file))

    def close(self, reason: str) -> int:
        """End the runs of trials that were cut off as ``stopped``, with the reason; returns how many there were."""
        count = len(self._open)
        for trial_id in list(self._open):
            self._end(trial_id, "stopped", {}, reason)
        return count

    def _end(
        self,
        trial_id: str,
        status: Literal["finished", "failed", "stopped"],
        result: Mapping[str, Any],
        error: str = "",
    ) -> None:
        run = self._open.pop(trial_id, None)
        if run is not None:
            metrics = measures(result)
            seconds = result.get("time_total_s")
            if seconds is not None:
                metrics["seconds"] = float(seconds)
            self.ended[trial_id] = finish_run(self._ws, run.id, status=status, metrics=metrics, error=error)


def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a trial, without the sampler's own keys of those below a branch.

    Example:
        >>> chosen({"booster": "dart", "booster=dart.rate_drop": 0.5, "rate_drop": 0.5})
        {'booster': 'dart', 'rate_drop': 0.5}
    """
    return {name: value for name, value in config.items() if "=" not in name}


def measures(result: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a report that are numbers of ours.

    Example:
        >>> measures({"auc": 0.7, "logloss": float("nan"), "trial_id": "x"})
        {'auc': 0.7}
    """
    return {name: float(result[name]) for name in sorted(_MEASURES & result.keys()) if math.isfinite(result[name])}


def _reason(error_file: str | None) -> str:
    """The last line of Ray Tune's error text that names an exception."""
    lines = Path(error_file).read_text().splitlines() if error_file and Path(error_file).is_file() else []
    named = [line for line in lines if _EXCEPTION.match(line)]
    return named[-1] if named else "the trial's process ended without a message"
