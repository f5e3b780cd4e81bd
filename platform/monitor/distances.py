"""Distances between two distributions, on counts or on values; plain numpy, nothing here knows of tables."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def shares(counts: Counts, smoothing: float = 0.5) -> Floats:
    """Turn the counts of bins into shares that sum to 1, none of them zero.

    Args:
        counts: Rows per bin, shape ``(bins,)``, any integer type.
        smoothing: Added to each count, so that an empty bin costs a finite distance.

    Returns:
        Shares, shape ``(bins,)``, float64.

    Example:
        >>> shares(np.array([3, 0]), smoothing=0.5).tolist()
        [0.875, 0.125]
    """
    raised = np.asarray(counts, dtype=np.float64) + smoothing
    return np.asarray(raised / raised.sum(), dtype=np.float64)


def population_stability(reference: Floats, current: Floats) -> float:
    """Population stability index: the symmetric Kullback-Leibler divergence, in nats.

    Args:
        reference: Shares per bin, shape ``(bins,)``, all greater than zero.
        current: Shares of the same bins.

    Returns:
        0 for equal shares; by convention 0.1 is a moderate and 0.25 a large shift. A normal distribution
        moved by ``d`` standard deviations has about ``d ** 2``.

    Example:
        >>> round(population_stability(np.array([0.5, 0.5]), np.array([0.6, 0.4])), 4)
        0.0405
    """
    return float(np.sum((current - reference) * np.log(current / reference)))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """Jensen-Shannon distance to base 2 (the root of the divergence), between 0 and 1.

    Args:
        reference: Shares per bin, shape ``(bins,)``; zeros are allowed.
        current: Shares of the same bins.

    Example:
        >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
        1.0
    """
    middle = (reference + current) / 2

    def relative_entropy(part: Floats) -> float:
        seen = part > 0
        return float(np.sum(part[seen] * np.log2(part[seen] / middle[seen])))

    return math.sqrt(max(0.0, (relative_entropy(reference) + relative_entropy(current)) / 2))


def wasserstein(reference: Floats, current: Floats, *, presorted: bool = False) -> float:
    """Earth mover's distance between two samples, in standard deviations of the reference.

    Args:
        reference: Finite values, shape ``(n,)``.
        current: Finite values, shape ``(m,)``.
        presorted: Both are in ascending order already.

    Returns:
        0 for equal samples. With a constant reference the unit is that of the values. NaN if one is empty.

    Example:
        >>> wasserstein(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
        1.0
    """
    if not len(reference) or not len(current):
        return math.nan
    left, right = (reference, current) if presorted else (np.sort(reference), np.sort(current))
    values = np.sort(np.concatenate((left, right)))
    from_left = np.zeros(len(values), dtype=bool)
    from_left[np.searchsorted(right, left) + np.arange(len(left))] = True  # among ties any order will do
    below_left = np.cumsum(from_left)[:-1]
    below_right = np.arange(1, len(values)) - below_left
    gaps = np.abs(below_left / len(left) - below_right / len(right))
    distance, spread = float(np.sum(gaps * np.diff(values))), float(left.std())
    return distance / spread if spread > 0 else distance


def quantile_edges(values: Floats, bins: int = 10, *, presorted: bool = False) -> Floats:
    """Inner edges of bins that hold about the same number of reference values each.

    A column with few distinct values gets one bin per value. Values below the smallest and above the largest
    reference value fall into bins of their own, so that a range which was never seen counts as a change.

    Args:
        values: Finite reference values, shape ``(n,)``, ``n >= 1``.
        bins: How many equally filled bins, at least 2.
        presorted: `values` are in ascending order already.

    Returns:
        Ascending edges ``e``; bin ``i`` holds ``e[i-1] < x <= e[i]``.

    Example:
        >>> edges = quantile_edges(np.array([1.0, 2.0, 2.0, 3.0]))
        >>> np.searchsorted(edges, [0.0, 1.0, 2.0, 3.0, 9.0]).tolist()
        [0, 1, 2, 3, 4]
    """
    ordered = values if presorted else np.sort(values)
    changes = np.flatnonzero(ordered[1:] != ordered[:-1])
    ends = -(-len(ordered) * np.arange(1, bins) // bins) - 1
    inner = ordered[changes] if len(changes) < 2 * bins else ordered[ends]
    below = np.nextafter(ordered[0], -np.inf)
    return np.unique(np.concatenate(([below], inner, [ordered[-1]])))


def noise(bins: int, reference_rows: int, current_rows: int, chance: float) -> float:
    """The stability index that two samples of ONE distribution exceed with probability `chance`.

    For equal distributions the index times ``n * m / (n + m)`` follows a chi-square distribution with
    ``bins - 1`` degrees of freedom, so small windows need a larger index before it means anything.

    Args:
        bins: Bins that are compared.
        reference_rows: Rows of the reference, ``n``.
        current_rows: Rows of the window, ``m``.
        chance: Probability of a false alarm, between 0 and 1.

    Example:
        >>> round(noise(11, 20_000, 20_000, 0.001), 4)
        0.003
        >>> noise(11, 100, 100, 0.001) > 0.5
        True
    """
    from scipy.special import chdtri

    effective = reference_rows * current_rows / (reference_rows + current_rows)
    return float(chdtri(max(1, bins - 1), chance)) / effective
