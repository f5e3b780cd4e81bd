"""Metrics of predictions against labels: one function for training, tuning and monitoring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core import ConfigError, DataError

METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("auc", "logloss", "accuracy", "brier"),
    "multiclass": ("logloss", "accuracy", "f1_macro", "auc"),
    "regression": ("rmse", "mae", "r2"),
}
_SMALLEST = 1e-15


def evaluate(scores: ArrayLike, labels: ArrayLike, *, task: str = "binary") -> dict[str, Any]:
    """Compare `scores` with `labels`.

    Args:
        scores: float (n,); probabilities of class 1 for ``binary``, predicted values for ``regression``; (n, classes)
            probabilities for ``multiclass``.
        labels: (n,); 0/1 or bool for ``binary``, the number of the class for ``multiclass``, values for
            ``regression``.
        task: ``binary``, ``multiclass`` or ``regression``.

    Returns:
        ``auc``, ``logloss``, ``accuracy`` (threshold 0.5), ``brier`` for binary; ``logloss``, ``accuracy``,
        ``f1_macro``, ``auc`` (each class against the rest, averaged) for multiclass; ``rmse``, ``mae``, ``r2`` for
        regression; and ``n``. Labels that lack a class leave ``auc`` NaN, and ``reason`` says why.

    Raises:
        DataError: No rows, different lengths, or a score that is not finite.
        ConfigError: An unknown task.

    Example:
        >>> found = evaluate([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> found["auc"], found["accuracy"], found["n"]
        (0.75, 0.75, 4)
        >>> evaluate([0.2, 0.3], [0, 0])["reason"]
        'auc needs both classes; all 2 labels are 0'
    """
    check_task(task)
    predicted = np.asarray(scores, dtype=np.float64)
    actual = np.asarray(labels, dtype=np.float64)
    several = task == "multiclass"
    if predicted.ndim != 1 + several or predicted.shape[:1] != actual.shape:
        raise DataError(
            f"scores {predicted.shape} and labels {actual.shape} differ in shape: give one score per label"
            f"{', for each class' if several else ''}"
        )
    if not len(predicted):
        raise DataError("0 rows to evaluate: give at least one score and its label")
    if not np.isfinite(predicted).all() or not np.isfinite(actual).all():
        bad = int((~np.isfinite(predicted)).sum()), int((~np.isfinite(actual)).sum())
        raise DataError(f"{bad[0]} scores and {bad[1]} labels are not finite numbers: drop these rows first")
    return {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[task](predicted, actual)


def check_task(task: str) -> str:
    """Return `task` if it is known, else raise ConfigError."""
    if task not in METRICS:
        raise ConfigError(f"task {task!r} is not known: use one of {', '.join(METRICS)}")
    return task


def check_metric(metric: str, task: str) -> str:
    """Return `metric` if `evaluate` computes it for `task`.

    Raises:
        ConfigError: An unknown metric; the message lists the valid ones.

    Example:
        >>> check_metric("rocauc", "binary")
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: metric 'rocauc' is not known for a binary label: use one of auc, logloss, ...
    """
    known = METRICS[check_task(task)]
    if metric not in known:
        raise ConfigError(f"metric {metric!r} is not known for a {task} label: use one of {', '.join(known)}")
    return metric


def _binary(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, Any]:
    from sklearn.metrics import roc_auc_score

    found: dict[str, Any] = {
        "auc": math.nan,
        "logloss": _log_loss(scores, labels),
        "accuracy": float(np.mean((scores >= 0.5) == (labels >= 0.5))),
        "brier": float(np.mean((scores - labels) ** 2)),
        "n": len(labels),
    }
    if labels.min() == labels.max():
        found["reason"] = f"auc needs both classes; all {len(labels)} labels are {labels[0]:g}"
    else:
        found["auc"] = float(roc_auc_score(labels, scores))
    return found


def _multiclass(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, Any]:
    from sklearn.metrics import f1_score, roc_auc_score

    actual, guess = labels.astype(np.int64), scores.argmax(axis=1)
    classes = scores.shape[1]
    if (actual < 0).any() or (actual >= classes).any() or (actual != labels).any():
        raise DataError(f"labels are not all numbers of {classes} classes: give 0 to {classes - 1}")
    chosen = np.clip(scores[np.arange(len(actual)), actual], _SMALLEST, 1)
    found: dict[str, Any] = {
        "logloss": float(-np.log(chosen).mean()),
        "accuracy": float((guess == actual).mean()),
        "f1_macro": float(f1_score(actual, guess, average="macro", labels=np.unique(actual), zero_division=0)),
        "auc": math.nan,
        "n": len(labels),
    }
    present = np.unique(actual)
    if len(present) < 2:
        found["reason"] = f"auc needs two classes; all {len(labels)} labels are {present[0]}"
    else:
        found["auc"] = float(np.mean([roc_auc_score(actual == one, scores[:, one]) for one in present]))
    return found


def _log_loss(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    clipped = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))


def _regression(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, Any]:
    residual = scores - labels
    spread = float(np.sum((labels - labels.mean()) ** 2))
    found: dict[str, Any] = {
        "rmse": float(np.sqrt(np.mean(residual**2))),
        "mae": float(np.mean(np.abs(residual))),
        "r2": 1 - float(np.sum(residual**2)) / spread if spread else math.nan,
        "n": len(labels),
    }
    if not spread:
        found["reason"] = f"r2 needs labels that differ; all {len(labels)} are {labels[0]:g}"
    return found
