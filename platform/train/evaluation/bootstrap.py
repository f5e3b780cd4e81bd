"""Confidence intervals by the bootstrap (Efron 1979), all resamples at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from .weighted import Floats, Measure

_CELLS = 4_000_000  # weights in memory at a time


def resamples(rows: int, count: int, seed: int) -> Iterator[Floats]:
    """Weights, float64 (some, rows), of `count` resamples with replacement in all; the same for the same seed.

    Example:
        >>> [part.sum(axis=1).tolist() for part in resamples(5, 2, seed=0)]
        [[5.0, 5.0]]
    """
    random = np.random.default_rng(seed)
    at_once = max(1, _CELLS // max(1, rows))
    for start in range(0, count, at_once):
        size = min(at_once, count - start)
        drawn = random.integers(0, rows, (size, rows))
        drawn += np.arange(size)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows).astype(np.float64)


def bootstrap(measures: Mapping[str, Measure], rows: int, count: int, seed: int) -> dict[str, Floats]:
    """Each metric of the same `count` resamples of `rows` rows, float64 (count,).

    Example:
        >>> from raylake.train.evaluation.weighted import mean_of
        >>> bootstrap({"mean": mean_of(np.arange(100.0))}, 100, 50, seed=0)["mean"].shape
        (50,)
    """
    found: dict[str, list[Floats]] = {name: [] for name in measures}
    for weights in resamples(rows, count, seed):
        for name, measure in measures.items():
            found[name].append(measure(weights))
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in found.items()}


def interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Percentile interval of the values that could be judged; NaN without any.

    Example:
        >>> [round(end, 6) for end in interval(np.arange(101.0), 0.9)]
        [5.0, 95.0]
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return (float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
