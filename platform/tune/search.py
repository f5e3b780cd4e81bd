"""Search for the best parameters of a Spec with Optuna on Ray Tune."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from ..core import ConfigError, DataError, Workspace
from ..registry import Run, finish_run, marked, settle_interrupted, start_run
from ..registry import trials as trials_of
from ..train import Compute, Spec, fit
from ..train.compute import resolve
from ..train.environment import environment
from ..train.evaluate import check_metric
from ..train.labels import labels_of
from ..train.plan import Plan, make_plan
from ..train.recorded import closing
from .budget import Budget
from .goal import Goal, as_tuple, usual_mode
from .memory import was_cut_off
from .past import earlier_trials, fitted_of, interrupted_study
from .study import Study
from .trainer_space import check_space, searchable
from .tree import Space, space_to_dict
from .tuning import Task, best_of, run_trials

_SECONDS = "seconds"


def search(
    ws: Workspace,
    spec: Spec,
    space: Space,
    *,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
    trials: int = 8,
    sampler: str = "tpe",
    pruner: str = "asha",
    budget: Budget | None = None,
    concurrency: int | None = None,
    seed: int = 0,
    warm_start: Iterable[Study | Run | str] = (),
    resume: bool = False,
) -> Study:
    """Try parameters of `spec.trainer`, then fit the best ones in full.

    Optuna proposes; each trial trains in up to ten steps and reports its validation metrics after each, and those that
    fall behind are stopped. The rows are prepared once and shared through the object store. Every trial is in the
    registry as soon as it begins, so a study that is killed can be resumed.

    Args:
        ws: The workspace.
        spec: What to fit; its validation rows decide.
        space: Domains by parameter name of the trainer (``rounds``, ``max_depth``, ``lr``, ``hidden``…); `branch`
            makes parameters depend on the choice of another.
        metric: One of `evaluate`'s; default ``auc`` for binary labels, ``rmse`` for regression. Several,
            ``seconds`` (of training) among them, make a Pareto front: no trial is stopped then, and the best by the
            first is fitted.
        mode: ``max`` or ``min``, one for each metric; default what is better for the metric.
        trials: Number of trials.
        sampler: Who proposes: ``tpe``, ``gp``, ``cmaes``, ``nsga2``, ``random``, or ``grid`` (all combinations).
        pruner: Who stops trials: ``asha`` (Li et al., 2020), ``median`` (the running averages of the others) or
            ``none``.
        budget: Other limits: wall time, CPU time, trials without improvement.
        concurrency: Trials side by side; default one for each core of the cluster.
        seed: Seed of the proposals. With more than one trial side by side the order in which they end, and so
            the proposals, may differ between runs.
        warm_start: Earlier studies (or ids of their runs) to learn from; trials that `space` could not propose are
            passed over.
        resume: Go on with the newest study of the same Spec, space and goal that was interrupted: finished trials are
            not run again, those that were cut off are. Without such a study a new one begins.

    Returns:
        The study. `best_run` has the artifact.

    Raises:
        ConfigError: Unknown metric, mode, parameter or domain; no validation rows.
        DataError, SchemaMismatch: The training set cannot be used; see `train.fit`.
        ComputeUnavailable: The cluster cannot hold a trial.
        TrainingFailed: Every trial failed. The study is recorded as failed, without an artifact.

    Example:
        >>> from raylake.tune import integer, real
        >>> space = {"max_depth": integer(2, 6), "learning_rate": real(0.02, 0.3, log=True)}
        >>> study = search(ws, spec, space, trials=2)
        >>> sorted(study.best_params), len(study.trials), study.best_value > 0.8
        (['learning_rate', 'max_depth'], 2, True)
    """
    check_space(space, searchable(spec.trainer))
    if concurrency is not None and concurrency < 1:
        raise ConfigError(f"concurrency={concurrency!r} is not valid: use 1 or more")
    if spec.validation == 0:
        raise ConfigError("a search needs validation rows: give the Spec a validation share or window")
    settle_interrupted(ws)
    resolve(ws, spec.compute)
    plan = make_plan(ws, spec)
    goal = _goal(plan, metric, mode, trials=trials, sampler=sampler, pruner=pruner, seed=seed)
    known = earlier_trials(ws, warm_start)
    at_once, threads = _sizes(trials, concurrency)
    resolve(ws, Compute(cpus=threads, gpus=0))
    limits = budget or Budget()
    study = _begin(ws, spec, space, goal, limits, (at_once, threads), resume)
    task = Task(ws, spec, space, goal, study, limits, at_once, threads)
    with closing(ws, study):
        ended_by = run_trials(task, plan, known)
        tried = trials_of(ws, study.id)
        best = best_of(tried, goal, study.id)
        trainer = spec.trainer.updated(**best.params)
        fitted = fitted_of(ws, study, trainer.to_dict()) if resume else None
        best_run = fitted or fit(ws, spec.replace(trainer=trainer), parent=study.id)
        figures = {f"best_{goal.metric}": float(best.metrics[goal.metric])}
        done = finish_run(ws, study.id, metrics=figures, outputs=[best_run.node])
    shown = tuple(trial for trial in tried if not was_cut_off(trial) or ended_by)
    return Study(done, best_run, shown, dict(best.params), float(best.metrics[goal.metric]), ended_by)


def _begin(
    ws: Workspace, spec: Spec, space: Space, goal: Goal, budget: Budget, sizes: tuple[int, int], resume: bool
) -> Run:
    """The study's run: an interrupted one that goes on, or a new one."""
    at_once, threads = sizes
    sought = {"space": space_to_dict(space), **goal.to_dict(), "budget": budget.to_dict()}
    params = {**spec.to_dict(), **sought, "concurrency": at_once}
    if resume and (found := interrupted_study(ws, spec.run_name, params)) is not None:
        return found
    tags = {"environment": environment(), "resources": {"concurrency": at_once, "cpus": threads}}
    inputs = [spec.training.version.node]
    return start_run(ws, "study", spec.run_name, params=params, tags=marked(tags), inputs=inputs)


def _goal(plan: Plan, metric: str | Sequence[str] | None, mode: str | Sequence[str] | None, **options: Any) -> Goal:
    metrics = as_tuple(metric or ("rmse" if plan.task == "regression" else "auc"))
    for name in metrics:
        if name != _SECONDS or len(metrics) == 1:
            check_metric(name, plan.task)
    modes = tuple(usual_mode(name) for name in metrics) if mode is None else as_tuple(mode)
    if "auc" in metrics:
        _check_both_classes(plan)
    return Goal(metrics, modes, **options)


def _check_both_classes(plan: Plan) -> None:
    labels = labels_of(plan.valid.column(plan.label), plan.signature.classes)
    if labels.min() == labels.max():
        raise DataError(
            f"label {plan.label!r} is {labels[0]:g} in all {len(labels)} validation rows of {plan.table}, "
            "so auc cannot be measured: choose a larger validation, or another metric"
        )


def _sizes(trials: int, concurrency: int | None) -> tuple[int, int]:
    """Trials side by side, and threads of each: together they use the cores, not Ray's logical CPUs."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    nodes = [node["Resources"].get("CPU", 0) for node in alive]
    total = int(sum(nodes))
    # A local cluster announces more CPUs than the machine has, so that idle replicas do not block training.
    cores = min(total, os.cpu_count() or 1) if len(nodes) == 1 else total
    at_once = min(trials, concurrency or max(1, cores))
    return at_once, max(1, cores // at_once)
