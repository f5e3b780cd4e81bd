"""A finished search, and how it shows itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from ..core import ConfigError
from ..registry import Run
from .goal import Goal
from .memory import remember
from .tree import space_from_dict

PLOTS = ("history", "importance", "parallel", "slice", "pareto")
_MOST_ROWS = 20


@dataclass(frozen=True, slots=True)
class Study:
    """A finished search.

    Attributes:
        run: The study's own run (kind ``study``).
        best_run: A full fit with the best parameters: validation metrics, model, artifact.
        trials: All trials as runs, in the order they began; status ``finished``, ``stopped`` (pruned, or cut off by the
            budget or an interruption: then ``error`` says so) or ``failed``.
        best_params: Parameters of the best trial.
        best_value: The first metric of the best trial.
        ended_by: Why the search ended before its number of trials; ``""`` if it did not.
    """

    run: Run
    best_run: Run
    trials: tuple[Run, ...]
    best_params: Mapping[str, Any]
    best_value: float
    ended_by: str = ""

    @property
    def goal(self) -> Goal:
        """What was sought."""
        return Goal.from_dict(self.run.params)

    @property
    def pareto(self) -> tuple[Run, ...]:
        """Finished trials that no other beats in every metric; with one metric, the best ones."""
        goal = self.goal
        rated = {trial.id: _rating(goal, trial) for trial in self.trials if trial.status == "finished"}
        rated = {key: values for key, values in rated.items() if all(math.isfinite(value) for value in values)}
        front = {key for key, mine in rated.items() if not any(_beats(other, mine) for other in rated.values())}
        return tuple(trial for trial in self.trials if trial.id in front)

    def plot(self, kind: str = "history") -> Any:
        """An interactive picture of the study.

        Args:
            kind: ``history`` (value by trial), ``importance`` (of each parameter, by fANOVA), ``parallel`` (parallel
                coordinates), ``slice`` (value by parameter) or ``pareto`` (two or three metrics).

        Returns:
            A plotly figure; a notebook shows it, and ``write_html`` stores it.

        Raises:
            ConfigError: An unknown kind, or one that the number of metrics or trials does not allow.
        """
        from optuna import visualization

        if kind not in PLOTS:
            raise ConfigError(f"plot {kind!r} is not known: use one of {', '.join(PLOTS)}")
        goal = self.goal
        if (kind == "pareto") != (len(goal.metrics) > 1):
            wanted = "two or three metrics" if kind == "pareto" else "one metric"
            raise ConfigError(f"plot {kind!r} is for {wanted}; this study has {', '.join(goal.metrics)}")
        past = remember(space_from_dict(self.run.params["space"]), goal, self.trials)
        draw: dict[str, Any] = {
            "history": visualization.plot_optimization_history,
            "importance": visualization.plot_param_importances,
            "parallel": visualization.plot_parallel_coordinate,
            "slice": visualization.plot_slice,
            "pareto": visualization.plot_pareto_front,
        }
        options: dict[str, Any] = {"target_names": list(goal.metrics)} if kind == "pareto" else {}
        if kind != "pareto":
            options = {"target_name": goal.metric} if kind != "importance" else {}
        try:
            return draw[kind](past, **options)
        except ValueError as error:
            raise ConfigError(f"plot {kind!r} cannot be drawn of {len(self.trials)} trial(s): {error}") from error

    def _repr_html_(self) -> str:
        goal = self.goal
        ranked = sorted(self.trials, key=lambda trial: -goal.sign * _number(trial, goal))
        names = sorted({name for trial in self.trials for name in trial.params})
        head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", "status", *goal.metrics, *names))
        rows = "".join(_row(trial, goal, names) for trial in ranked[:_MOST_ROWS])
        more = len(ranked) - _MOST_ROWS
        note = f"<p>and {more} more</p>" if more > 0 else ""
        ended = f" ({escape(self.ended_by)})" if self.ended_by else ""
        return (
            f"<p>study <b>{escape(self.run.name)}</b>: {len(self.trials)} trials{ended}; best "
            f"{escape(goal.metric)} <b>{self.best_value:.6g}</b></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"
        )


def _row(trial: Run, goal: Goal, names: list[str]) -> str:
    figures = [f"{trial.metrics[name]:.6g}" if name in trial.metrics else "" for name in goal.metrics]
    params = ["" if name not in trial.params else f"{trial.params[name]}" for name in names]
    cells = "".join(f"<td>{escape(text)}</td>" for text in (trial.id[:8], trial.status, *figures, *params))
    return f"<tr>{cells}</tr>"


def _number(trial: Run, goal: Goal) -> float:
    value = trial.metrics.get(goal.metric, math.nan)
    return value if math.isfinite(value) else -goal.sign * math.inf


def _rating(goal: Goal, trial: Run) -> tuple[float, ...]:
    signs = [1 if mode == "max" else -1 for mode in goal.modes]
    return tuple(sign * trial.metrics.get(name, math.nan) for sign, name in zip(signs, goal.metrics, strict=True))


def _beats(other: tuple[float, ...], mine: tuple[float, ...]) -> bool:
    return other != mine and all(theirs >= ours for theirs, ours in zip(other, mine, strict=True))
