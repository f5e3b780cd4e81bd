"""Metrics of many resamples at once: each is a function of a matrix of row weights.

A bootstrap of 200 resamples with scikit-learn sorts the scores 200 times; here they are sorted once, and all resamples
are sums over the same order. scikit-learn's own figures, with the weights as ``sample_weight``, are the oracle in the
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
_SMALLEST = 1e-15
_BINS = 10


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a task.

    Attributes:
        name: Its name.
        bigger: Whether more is better.
        prepare: From scores and labels to a function of weights, float64 (resamples, n) to (resamples,); NaN where a
            resample cannot be judged, such as an AUC of one class.
    """

    name: str
    bigger: bool
    prepare: Callable[[Floats, Floats], Measure]


def mean_of(values: Floats) -> Measure:
    """Weighted mean of a value per row."""
    return lambda weights: _ratio(weights @ values, weights.sum(axis=1))


def root_mean_of(values: Floats) -> Measure:
    """Root of the weighted mean of a value per row."""
    return lambda weights: np.sqrt(_ratio(weights @ values, weights.sum(axis=1)))


def auc(scores: Floats, labels: Floats) -> Measure:
    """Area under the ROC curve: the weighted share of ordered pairs, ties counted half."""
    order = np.argsort(scores, kind="stable")
    groups = _groups(scores[order])
    late = labels[order] >= 0.5

    def measure(weights: Floats) -> Floats:
        ordered = weights[:, order]
        late_sums = _sums(ordered * late, groups)
        other_sums = _sums(ordered * ~late, groups)
        below = np.cumsum(other_sums, axis=1) - other_sums
        pairs = (late_sums * (below + other_sums / 2)).sum(axis=1)
        return _ratio(pairs, late_sums.sum(axis=1) * other_sums.sum(axis=1))

    return measure


def average_precision(scores: Floats, labels: Floats) -> Measure:
    """Mean of the precisions at each threshold, weighted by the recall it adds."""
    order = np.argsort(-scores, kind="stable")
    groups = _groups(scores[order])
    late = labels[order] >= 0.5

    def measure(weights: Floats) -> Floats:
        ordered = weights[:, order]
        hits, all_of = _sums(ordered * late, groups), _sums(ordered, groups)
        precision = _ratio(np.cumsum(hits, axis=1), np.cumsum(all_of, axis=1))
        return _ratio((np.nan_to_num(precision) * hits).sum(axis=1), hits.sum(axis=1))

    return measure


def of_confusion(formula: Callable[[Floats, Floats, Floats, Floats], Floats]) -> Callable[[Floats, Floats], Measure]:
    """A metric of true and false positives and negatives at the threshold 0.5."""

    def prepare(scores: Floats, labels: Floats) -> Measure:
        said, late = scores >= 0.5, labels >= 0.5
        cells = np.stack([said & late, said & ~late, ~said & late, ~said & ~late]).astype(np.float64)

        def measure(weights: Floats) -> Floats:
            tp, fp, fn, tn = (weights @ cells.T).T
            return formula(tp, fp, fn, tn)

        return measure

    return prepare


def calibration_error(scores: Floats, labels: Floats) -> Measure:
    """Expected calibration error (Naeini et al. 2015): mean gap of mean score and positive share in 10 bins."""
    place = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    inside = np.eye(_BINS)[place]

    def measure(weights: Floats) -> Floats:
        gap = np.abs(weights @ (inside * (scores - labels)[:, None]))
        return _ratio(gap.sum(axis=1), weights.sum(axis=1))

    return measure


def r2(scores: Floats, labels: Floats) -> Measure:
    """Share of the labels' variance that is explained."""
    residual, shifted = (scores - labels) ** 2, labels - labels.mean()

    def measure(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        spread = weights @ shifted**2 - (weights @ shifted) ** 2 / np.where(total > 0, total, np.nan)
        return 1 - _ratio(weights @ residual, np.where(spread > 1e-12 * np.abs(weights @ shifted**2), spread, 0))

    return measure


def log_loss(scores: Floats, labels: Floats) -> Measure:
    """Mean of minus the logarithm of the probability of what happened."""
    clipped = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    return mean_of(-(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))


def several_log_loss(scores: Floats, labels: Floats) -> Measure:
    """As `log_loss`, of several classes."""
    chosen = scores[np.arange(len(labels)), labels.astype(int)]
    return mean_of(-np.log(np.clip(chosen, _SMALLEST, 1)))


def several_auc(scores: Floats, labels: Floats) -> Measure:
    """Mean over the classes of the AUC of each against the rest."""
    each = [auc(scores[:, one], (labels == one).astype(float)) for one in np.unique(labels).astype(int)]
    return lambda weights: np.mean([measure(weights) for measure in each], axis=0)


def several_counts(kind: str) -> Callable[[Floats, Floats], Measure]:
    """``balanced`` accuracy, or F1 as ``macro`` or ``weighted`` mean over the classes that occur."""

    def prepare(scores: Floats, labels: Floats) -> Measure:
        classes, guess = scores.shape[1], scores.argmax(axis=1)
        actual, said = np.eye(classes)[labels.astype(int)], np.eye(classes)[guess]

        def measure(weights: Floats) -> Floats:
            hits, there, claimed = weights @ (actual * said), weights @ actual, weights @ said
            if kind == "balanced":
                return _mean_where(_ratio(hits, there), there > 0)
            scored = np.nan_to_num(_ratio(2 * hits, there + claimed))
            if kind == "macro":
                return _mean_where(scored, there > 0)
            return _ratio((scored * there).sum(axis=1), there.sum(axis=1))

        return measure

    return prepare


def _errors(power: Callable[[Floats, Floats], Floats], root: bool = False) -> Callable[[Floats, Floats], Measure]:
    make = root_mean_of if root else mean_of
    return lambda scores, labels: make(power(scores, labels))


def _ratio(over: Any, under: Any) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(np.asarray(under) == 0, np.nan, over / np.where(under == 0, 1, under)))


def _mean_where(values: Floats, chosen: Any) -> Floats:
    return _ratio(np.where(chosen, np.nan_to_num(values), 0).sum(axis=1), chosen.sum(axis=1))


def _groups(ordered: Floats) -> NDArray[np.int64]:
    """First place of each run of equal values."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _sums(values: Any, starts: NDArray[np.int64]) -> Floats:
    if len(starts) == values.shape[1]:
        return np.asarray(values, dtype=np.float64)
    return np.asarray(np.add.reduceat(values, starts, axis=1))


def _mcc(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> Floats:
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def relative(scores: Floats, labels: Floats) -> Floats:
    """Absolute error over the label's size, NaN where it is 0."""
    return _ratio(np.abs(scores - labels), np.abs(labels))


def symmetric(scores: Floats, labels: Floats) -> Floats:
    """Twice the absolute error over the sizes of both, 0 where both are 0 (Makridakis 1993), 0 to 2."""
    return np.nan_to_num(_ratio(2 * np.abs(scores - labels), np.abs(scores) + np.abs(labels)))


def _named(*metrics: Metric) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


BINARY = _named(
    Metric("auc", True, auc),
    Metric("average_precision", True, average_precision),
    Metric("logloss", False, log_loss),
    Metric("brier", False, _errors(lambda s, y: (s - y) ** 2)),
    Metric("calibration_error", False, calibration_error),
    Metric("accuracy", True, of_confusion(lambda tp, fp, fn, tn: _ratio(tp + tn, tp + fp + fn + tn))),
    Metric(
        "balanced_accuracy", True, of_confusion(lambda tp, fp, fn, tn: (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2)
    ),
    Metric("precision", True, of_confusion(lambda tp, fp, fn, tn: _ratio(tp, tp + fp))),
    Metric("recall", True, of_confusion(lambda tp, fp, fn, tn: _ratio(tp, tp + fn))),
    Metric("f1", True, of_confusion(lambda tp, fp, fn, tn: _ratio(2 * tp, 2 * tp + fp + fn))),
    Metric("mcc", True, of_confusion(_mcc)),
)
MULTICLASS = _named(
    Metric("logloss", False, several_log_loss),
    Metric("accuracy", True, lambda s, y: mean_of((s.argmax(axis=1) == y).astype(float))),
    Metric("balanced_accuracy", True, several_counts("balanced")),
    Metric("f1_macro", True, several_counts("macro")),
    Metric("f1_weighted", True, several_counts("weighted")),
    Metric("auc", True, several_auc),
)
REGRESSION = _named(
    Metric("rmse", False, _errors(lambda s, y: (s - y) ** 2, root=True)),
    Metric("mae", False, _errors(lambda s, y: np.abs(s - y))),
    Metric("r2", True, r2),
    Metric("mape", False, _errors(relative)),
    Metric("smape", False, _errors(symmetric)),
    Metric("bias", False, _errors(lambda s, y: s - y)),
)
METRICS_OF: Mapping[str, Mapping[str, Metric]] = {
    "binary": BINARY,
    "multiclass": MULTICLASS,
    "regression": REGRESSION,
}
