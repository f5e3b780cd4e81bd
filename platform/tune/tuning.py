"""The one place that calls Ray Tune."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..core import TrainingFailed, Workspace, urls
from ..registry import Run
from ..registry import trials as trials_of
from ..train import Spec, XGBoost
from ..train.job import worker_rows
from ..train.plan import Plan
from .budget import Budget
from .goal import Goal
from .interrupt import restored_signals
from .memory import STUDY_NAME, remember, was_cut_off
from .trainer_space import given_point, most_rounds, searchable
from .tree import Space, propose

_STEPS = 10


@dataclass(frozen=True, slots=True)
class Task:
    """A search that is about to run its trials.

    Attributes:
        ws: The workspace.
        spec: What to fit.
        space: What may be proposed.
        goal: What is sought.
        study: The study's run.
        budget: Its limits.
        at_once: Trials side by side.
        threads: Threads of each.
    """

    ws: Workspace
    spec: Spec
    space: Space
    goal: Goal
    study: Run
    budget: Budget
    at_once: int
    threads: int

    @property
    def stride(self) -> int:
        """Rounds or epochs of one step."""
        return max(1, math.ceil(most_rounds(self.space, searchable(self.spec.trainer)) / _STEPS))

    @property
    def steps(self) -> int:
        """The most steps of a trial."""
        return math.ceil(most_rounds(self.space, searchable(self.spec.trainer)) / self.stride)


def run_trials(task: Task, plan: Plan, known: Sequence[Run]) -> str:
    """Run the trials that the study still lacks; each is in the registry when this returns or raises.

    Args:
        task: The search.
        plan: The prepared rows.
        known: Trials of earlier studies to learn from.

    Returns:
        Why the study ended early, or ``""``.

    Raises:
        KeyboardInterrupt: Ctrl-C; the study can be resumed.
    """
    from .recorder import Recorder

    mine = trials_of(task.ws, task.study.id)
    done = [trial for trial in mine if not was_cut_off(trial)]
    missing = task.goal.trials - len(done)
    again = [dict(trial.params) for trial in mine if was_cut_off(trial)]
    first = [*again, *([] if done else given_point(task.space, searchable(task.spec.trainer)))]
    past = remember(task.space, task.goal, [*known, *done], first=first, at=len(mine))
    if task.goal.sampler == "grid":
        missing = min(missing, len([trial for trial in past.trials if not trial.state.is_finished()]))
    if missing <= 0:
        return ""
    recorder = Recorder(task.ws, task.study)
    with _folder(task) as folder, restored_signals(), _quiet():
        stopper = _stopper(task)
        try:
            _tuner(task, plan, past, recorder, stopper, missing, folder).fit()
        finally:
            cut = recorder.close(stopper.reason or "the study was interrupted")
    # Ray Tune swallows the first Ctrl-C and returns what it has.
    if not stopper.reason and (cut or len(recorder.ended) < missing):
        raise KeyboardInterrupt(f"study {task.study.id} was interrupted after {len(recorder.ended) - cut} trials")
    reason: str = stopper.reason
    return reason


def best_of(trials: Sequence[Run], goal: Goal, study: str) -> Run:
    """The best trial among those that trained in full, or else among all that reported.

    Raises:
        TrainingFailed: None reported the metric.
    """
    runs = [run for run in trials if math.isfinite(run.metrics.get(goal.metric, math.nan)) and run.status != "failed"]
    if not runs:
        errors = sorted({run.error for run in trials if run.error})
        reason = errors[0].strip().splitlines()[-1] if errors else f"no trial reported {goal.metric}"
        raise TrainingFailed(f"study {study} failed: all {len(trials)} trials failed, the first with: {reason}")
    whole = [run for run in runs if run.status == "finished"] or runs
    return max(whole, key=lambda run: goal.sign * float(run.metrics[goal.metric]))


def _tuner(
    task: Task, plan: Plan, past: Any, recorder: Any, stopper: Any, missing: int, folder: tuple[Any, str]
) -> Any:
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback

    filesystem, path = folder
    return tune.Tuner(
        tune.with_resources(_trainable(task, plan), {"cpu": task.threads}),
        tune_config=tune.TuneConfig(
            search_alg=_searcher(task, past),
            scheduler=_scheduler(task),
            num_samples=missing,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"study-{task.study.id}",
            storage_path=path,
            storage_filesystem=filesystem,
            # Without its JSON files Ray Tune warns about every trial at the end.
            callbacks=[recorder, JsonLoggerCallback()],  # type: ignore[no-untyped-call]
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            stop=stopper,
            verbose=0,
        ),
    )


def _trainable(task: Task, plan: Plan) -> Any:
    from ray import tune

    from .trials import BoostTrial, EpochTrial, Setting

    trainer = searchable(task.spec.trainer)
    setting = Setting(trainer, plan.matrix_columns, plan.task, task.spec.seed, task.threads, task.stride)
    train, valid = worker_rows(plan.part(training=True)), worker_rows(plan.part(training=False))
    kind = BoostTrial if isinstance(trainer, XGBoost) else EpochTrial
    return tune.with_parameters(kind, setting=setting, train=train, valid=valid)


def _scheduler(task: Task) -> Any:
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule

    goal, steps = task.goal, task.steps
    if goal.pruner == "none" or len(goal.metrics) > 1:
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    aim: dict[str, Any] = {"metric": goal.metric, "mode": goal.modes[0]}
    if goal.pruner == "median":
        return MedianStoppingRule(
            time_attr="training_iteration", grace_period=max(1, steps // 5), min_samples_required=3, **aim
        )
    return ASHAScheduler(max_t=max(2, steps), grace_period=max(1, steps // 5), reduction_factor=3, **aim)


def _searcher(task: Task, past: Any) -> Any:
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    goal = task.goal
    searcher = OptunaSearch(
        partial(propose, task.space),  # picklable: Ray Tune stores its searcher
        metric=goal.metric if len(goal.metrics) == 1 else list(goal.metrics),
        mode=goal.modes[0] if len(goal.modes) == 1 else list(goal.modes),
        sampler=past.sampler,
        storage=past._storage,
        study_name=STUDY_NAME,
    )
    return ConcurrencyLimiter(searcher, max_concurrent=task.at_once)


def _stopper(task: Task) -> Any:
    from .stopper import BudgetStopper

    return BudgetStopper(task.budget, task.goal, task.threads)


@contextmanager
def _folder(task: Task) -> Iterator[tuple[Any, str]]:
    """Where Ray Tune keeps its own state while the study runs."""
    filesystem, path = urls.filesystem(task.ws.runs_url)
    filesystem.create_dir(path, recursive=True)
    try:
        yield filesystem, path
    finally:
        filesystem.delete_dir(f"{path}/study-{task.study.id}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Ray Tune's own result files and its complaints about its state: the registry holds the results.

    That state would serve to resume a study in Ray Tune's way, and is deleted at the end; on a full disk, Ray Tune
    prints a traceback for it beside the one error that counts.
    """
    name, state = "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", logging.getLogger("ray.tune.execution.experiment_state")
    former, level = os.environ.get(name), state.level
    os.environ[name] = "1"
    state.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        state.setLevel(level)
        if former is None:
            del os.environ[name]
        else:
            os.environ[name] = former
