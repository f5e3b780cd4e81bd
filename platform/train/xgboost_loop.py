"""Boosting on a Ray Train worker."""

from __future__ import annotations

import time
from typing import Any

from .flavours import XGBOOST_FILE
from .job import Fitted, Job, Rows, worker_rows
from .trainers import XGBoost

_MEASURES = {"binary": ("logloss", "auc"), "multiclass": ("mlogloss",), "regression": ("rmse",)}
_OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


def train_xgboost(job: Job) -> Fitted:
    """Load this worker's rows and boost, together with the other workers."""
    started = time.perf_counter()
    train, valid = worker_rows(job)
    loaded = time.perf_counter()
    booster, history = boost(job, train, valid)
    return Fitted(
        file=XGBOOST_FILE,
        content=bytes(booster.save_raw("ubj")),
        rounds=booster.num_boosted_rounds(),
        history=history,
        load_seconds=loaded - started,
        train_seconds=time.perf_counter() - loaded,
    )


def boost(job: Job, train: Rows, valid: Rows | None) -> tuple[Any, dict[str, list[float]]]:
    """Fit on `train`; within a Ray worker group all workers build the same trees.

    Returns:
        The booster and, per metric name such as ``valid_logloss``, its value after each round.
    """
    import xgboost

    trainer = job.trainer
    if not isinstance(trainer, XGBoost):
        raise TypeError(f"XGBoost loop got {type(trainer).__name__}")
    params = parameters(trainer, job.task, seed=job.seed, threads=job.threads, gpu=job.gpu, classes=len(job.classes))
    inputs = matrix(train, job.matrix_columns, trainer, job.threads)
    evals = [(inputs, "train")]
    if valid is not None:
        evals = [(matrix(valid, job.matrix_columns, trainer, job.threads, like=inputs), "valid")]
    found: dict[str, dict[str, list[float]]] = {}
    booster = xgboost.train(
        params,
        inputs,
        trainer.rounds,
        evals=evals,
        evals_result=found,
        early_stopping_rounds=trainer.early_stopping if valid is not None else None,
        verbose_eval=False,
    )
    if valid is not None and trainer.early_stopping is not None:
        booster = booster[: booster.best_iteration + 1]
    history = {f"{part}_{name}": values for part, names in found.items() for name, values in names.items()}
    return booster, history


def parameters(trainer: XGBoost, task: str, *, seed: int, threads: int, gpu: bool, classes: int = 0) -> dict[str, Any]:
    """XGBoost's parameters: the trainer's over our defaults."""
    return {
        "objective": _OBJECTIVES[task],
        "eval_metric": list(_MEASURES[task]),
        "tree_method": "hist",
        "verbosity": 0,
        **({"num_class": classes} if task == "multiclass" else {}),
        **trainer.params,
        "seed": seed,
        "nthread": threads,
        "device": "cuda" if gpu else "cpu",
    }


def matrix(rows: Rows, names: tuple[str, ...], trainer: XGBoost, threads: int, like: Any = None) -> Any:
    """A quantised matrix, which the `hist` and `approx` tree methods train on; others get a plain one."""
    import xgboost

    params = trainer.params
    facts: dict[str, Any] = {"feature_names": list(names), "nthread": threads}
    if params.get("tree_method", "hist") != "hist" or params.get("booster") == "gblinear":
        return xgboost.DMatrix(rows.inputs, rows.labels, **facts)
    return xgboost.QuantileDMatrix(rows.inputs, rows.labels, ref=like, max_bin=params.get("max_bin", 256), **facts)
