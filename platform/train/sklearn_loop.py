"""scikit-learn in one process, whose parallel work may go to the cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ..core import ConfigError
from .fitted_model import fitted_model
from .flavours import to_frame
from .job import Fitted, Job
from .live import log_if_training
from .sklearn_trainer import Sklearn
from .table_rows import table_rows

_POINTS = 200


def train_sklearn(job: Job) -> Fitted:
    """Fit the estimator on the training rows."""
    if not isinstance(job.trainer, Sklearn):
        raise TypeError(f"scikit-learn loop got {type(job.trainer).__name__}")
    started = time.perf_counter()
    (train, labels), _ = table_rows(job)
    frame = to_frame(train)
    loaded = time.perf_counter()
    estimator = _prepared(job.trainer.build(), job)
    target = labels if job.task == "regression" else labels.astype(np.int64)
    with _parallel(job), threadpool_limits(job.threads):
        try:
            estimator.fit(frame, target)
        except ValueError as error:
            raise ConfigError(f"{type(estimator).__name__} does not take these rows: {error}") from error
    history = _history(estimator)
    for step, values in _by_step(history):
        log_if_training(step, values)
    rounds = max((len(values) for values in history.values()), default=1)
    return fitted_model(
        _best(estimator), history=history, rounds=rounds, seconds=(loaded - started, time.perf_counter() - loaded)
    )


def _prepared(estimator: Any, job: Job) -> Any:
    """With the Spec's seed and threads wherever the estimator leaves them open."""
    params = estimator.get_params(deep=True)
    named = {name: name.rpartition("__")[2] for name, value in params.items() if value is None}
    seeds = {name: job.seed for name, last in named.items() if last == "random_state"}
    # In the cluster the backend decides; in one process scikit-learn's own threads and processes do.
    jobs = job.workers * job.threads if job.workers > 1 else job.threads
    threads = {name: jobs for name, last in named.items() if last == "n_jobs"}
    return estimator.set_params(**seeds, **threads)


@contextmanager
def _parallel(job: Job) -> Iterator[None]:
    """Ray's joblib backend for several workers: its tasks run on actors all over the cluster."""
    import joblib

    if job.workers == 1:
        yield
        return
    from ray.util.joblib import register_ray

    register_ray()  # type: ignore[no-untyped-call]
    with joblib.parallel_config(backend="ray", n_jobs=job.workers, ray_remote_args={"num_cpus": job.threads}):
        yield


def _best(estimator: Any) -> Any:
    """A search's best estimator: what it tried is no part of the model."""
    return getattr(estimator, "best_estimator_", estimator)


def _by_step(history: dict[str, list[float]]) -> Iterator[tuple[int, dict[str, float]]]:
    """Evenly chosen steps, the last included: a curve needs no thousand points."""
    length = max((len(values) for values in history.values()), default=0)
    for step in sorted({round(point) for point in np.linspace(0, length - 1, min(length, _POINTS))}):
        yield step + 1, {name: values[step] for name, values in history.items() if step < len(values)}


def _history(estimator: Any) -> dict[str, list[float]]:
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    curves = {"train_loss": "loss_curve_", "train_score": "train_score_", "valid_score": "validation_score_"}
    found = {name: getattr(last, curve, None) for name, curve in curves.items()}
    return {
        name: np.asarray(values, float).tolist() for name, values in found.items() if values is not None and len(values)
    }
