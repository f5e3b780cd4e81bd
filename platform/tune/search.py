"""Search for the best parameters of a Spec with Optuna and ASHA on Ray Tune."""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..core import ConfigError, DataError, TrainingFailed, Workspace, urls
from ..registry import Run, finish_run, marked, settle_interrupted, start_run
from ..registry import trials as trials_of
from ..train import Compute, Spec, XGBoost, fit
from ..train.compute import resolve
from ..train.environment import environment
from ..train.evaluate import check_metric
from ..train.job import worker_rows
from ..train.labels import labels_of
from ..train.plan import Plan, make_plan
from ..train.recorded import closing
from .interrupt import restored_signals
from .space import Domain, Searchable, check_space, contains, searchable

_STEPS = 10
_MODES = ("max", "min")


@dataclass(frozen=True, slots=True)
class Study:
    """A finished search.

    Attributes:
        run: The study's own run (kind ``study``).
        best_run: A full fit with the best parameters: validation metrics, model, artifact.
        trials: All trials as runs, in the order they began; status ``finished``, ``stopped`` (pruned) or ``failed``.
        best_params: Parameters of the best trial.
        best_value: The metric of the best trial.
    """

    run: Run
    best_run: Run
    trials: tuple[Run, ...]
    best_params: Mapping[str, Any]
    best_value: float


def search(
    ws: Workspace,
    spec: Spec,
    space: Mapping[str, Domain],
    *,
    metric: str | None = None,
    mode: str | None = None,
    trials: int = 8,
    concurrency: int | None = None,
    seed: int = 0,
) -> Study:
    """Try parameters of `spec.trainer`, then fit the best ones in full.

    Optuna's TPE proposes; each trial trains in up to ten steps and reports its validation metric after each, and
    ASHA stops those that fall behind. The rows are prepared once and shared through the object store.

    Args:
        ws: The workspace.
        spec: What to fit; its validation rows decide.
        space: Domains by parameter name of the trainer (``rounds``, ``max_depth``, ``lr``, ``hidden``…).
        metric: One of `evaluate`'s; default ``auc`` for binary labels, ``rmse`` for regression.
        mode: ``max`` or ``min``; default what is better for the metric.
        trials: Number of trials.
        concurrency: Trials side by side; default one for each core of the cluster.
        seed: Seed of the proposals. With more than one trial side by side the order in which they end, and so
            the proposals, may differ between runs.

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
    if trials < 1 or (concurrency is not None and concurrency < 1):
        raise ConfigError(f"trials={trials!r}, concurrency={concurrency!r} is not valid: use 1 or more")
    if spec.validation == 0:
        raise ConfigError("a search needs validation rows: give the Spec a validation share or window")
    settle_interrupted(ws)
    resolve(ws, spec.compute)
    plan = make_plan(ws, spec)
    metric, mode = _goal(plan, metric, mode)
    at_once, threads = _sizes(trials, concurrency)
    resolve(ws, Compute(cpus=threads, gpus=0))
    goal = {"metric": metric, "mode": mode, "trials": trials, "concurrency": at_once, "seed": seed}
    params = {**spec.to_dict(), "space": {name: repr(domain) for name, domain in space.items()}, **goal}
    tags = {"environment": environment(), "resources": {"concurrency": at_once, "cpus": threads}}
    inputs = [spec.training.version.node]
    study = start_run(ws, "study", spec.run_name, params=params, tags=marked(tags), inputs=inputs)
    with closing(ws, study):
        best = _tune(ws, spec, plan, space, study, goal, threads)
        best_run = fit(ws, spec.replace(trainer=spec.trainer.updated(**best.params)), parent=study.id)
        done = finish_run(ws, study.id, metrics={f"best_{metric}": best.value}, outputs=[best_run.node])
    found = sorted(trials_of(ws, study.id), key=lambda run: run.created_at)
    return Study(done, best_run, tuple(found), best.params, best.value)


@dataclass(frozen=True, slots=True)
class _Best:
    params: dict[str, Any]
    value: float


def _tune(
    ws: Workspace,
    spec: Spec,
    plan: Plan,
    space: Mapping[str, Domain],
    study: Run,
    goal: Mapping[str, Any],
    threads: int,
) -> _Best:
    """Run the trials; each is in the registry when this returns or raises."""
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback

    from .recorder import Recorder

    recorder = Recorder(ws, study)
    filesystem, path = urls.filesystem(ws.runs_url)
    filesystem.create_dir(path, recursive=True)
    name = f"study-{study.id}"
    tuner = tune.Tuner(
        tune.with_resources(_trainable(spec, plan, space, threads), {"cpu": threads}),
        tune_config=_tune_config(spec, space, goal),
        run_config=tune.RunConfig(
            name=name,
            storage_path=path,
            storage_filesystem=filesystem,
            # Without its JSON files Ray Tune warns about every trial at the end.
            callbacks=[recorder, JsonLoggerCallback()],  # type: ignore[no-untyped-call]
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    try:
        with restored_signals(), _quiet():
            tuner.fit()
    finally:
        cut = recorder.close()
        filesystem.delete_dir(f"{path}/{name}")
    # Ray Tune swallows the first Ctrl-C and returns what it has.
    if cut or len(recorder.ended) < int(goal["trials"]):
        raise KeyboardInterrupt(f"study {study.id} was interrupted after {len(recorder.ended) - cut} trials")
    return _best(recorder.ended, goal, study.id)


def _best(ended: Mapping[str, Run], goal: Mapping[str, Any], study: str) -> _Best:
    """The best trial among those that trained in full, or else among all that reported."""
    metric, sign = str(goal["metric"]), 1 if goal["mode"] == "max" else -1
    runs = [
        run for run in ended.values() if math.isfinite(run.metrics.get(metric, math.nan)) and run.status != "failed"
    ]
    if not runs:
        errors = sorted({run.error for run in ended.values() if run.error})
        reason = errors[0].strip().splitlines()[-1] if errors else f"no trial reported {metric}"
        raise TrainingFailed(f"study {study} failed: all {len(ended)} trials failed, the first with: {reason}")
    whole = [run for run in runs if run.status == "finished"] or runs
    best = max(whole, key=lambda run: sign * float(run.metrics[metric]))
    return _Best(dict(best.params), float(best.metrics[metric]))


def _trainable(spec: Spec, plan: Plan, space: Mapping[str, Domain], threads: int) -> Any:
    from ray import tune

    from .trials import BoostTrial, EpochTrial, Setting

    setting = Setting(
        searchable(spec.trainer), plan.matrix_columns, plan.task, spec.seed, threads, _stride(spec, space)
    )
    train, valid = worker_rows(plan.part(training=True)), worker_rows(plan.part(training=False))
    kind = BoostTrial if isinstance(spec.trainer, XGBoost) else EpochTrial
    return tune.with_parameters(kind, setting=setting, train=train, valid=valid)


def _tune_config(spec: Spec, space: Mapping[str, Domain], goal: Mapping[str, Any]) -> Any:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import ConcurrencyLimiter

    steps = math.ceil(_most(spec, space) / _stride(spec, space))
    scheduler = ASHAScheduler(max_t=max(2, steps), grace_period=max(1, steps // 5), reduction_factor=3)
    return tune.TuneConfig(
        metric=goal["metric"],
        mode=goal["mode"],
        search_alg=ConcurrencyLimiter(_searcher(spec, space, goal), max_concurrent=goal["concurrency"]),
        scheduler=scheduler,
        num_samples=goal["trials"],
        reuse_actors=True,
    )


def _searcher(spec: Spec, space: Mapping[str, Domain], goal: Mapping[str, Any]) -> Any:
    import optuna
    from ray.tune.search.optuna import OptunaSearch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Optuna's default begins with ten random trials, which is more than a small study has in all.
        sampler = optuna.samplers.TPESampler(
            seed=goal["seed"], n_startup_trials=min(10, max(3, goal["trials"] // 3)), constant_liar=True
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainer: Searchable = searchable(spec.trainer)
    given = trainer.params if isinstance(trainer, XGBoost) else trainer.options
    known = {name: given[name] for name in space if name in given}
    distributions = {name: domain.distribution() for name, domain in space.items()}
    inside = len(known) == len(space) and all(contains(space[name], value) for name, value in known.items())
    return OptunaSearch(
        distributions,
        metric=goal["metric"],
        mode=goal["mode"],
        sampler=sampler,
        points_to_evaluate=[known] if inside else None,
    )


def _goal(plan: Plan, metric: str | None, mode: str | None) -> tuple[str, str]:
    metric = check_metric(metric or ("auc" if plan.task == "binary" else "rmse"), plan.task)
    mode = mode or ("max" if metric in ("auc", "accuracy", "r2") else "min")
    if mode not in _MODES:
        raise ConfigError(f"mode {mode!r} is not known: use max or min")
    labels = labels_of(plan.valid.column(plan.label))
    if metric == "auc" and labels.min() == labels.max():
        raise DataError(
            f"label {plan.label!r} is {labels[0]:g} in all {len(labels)} validation rows of {plan.table}, "
            "so auc cannot be measured: choose a larger validation, or another metric"
        )
    return metric, mode


def _most(spec: Spec, space: Mapping[str, Domain]) -> int:
    """The largest number of rounds or epochs that a trial may take."""
    name = "rounds" if isinstance(spec.trainer, XGBoost) else "max_epochs"
    domain = space.get(name)
    if domain is None:
        return int(getattr(spec.trainer, name))
    values = getattr(domain, "values", None)
    return int(max(values)) if values else int(domain.high)  # type: ignore[union-attr]


def _stride(spec: Spec, space: Mapping[str, Domain]) -> int:
    return max(1, math.ceil(_most(spec, space) / _STEPS))


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
