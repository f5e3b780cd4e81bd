"""The values of a column with their counts: what exact quantiles and likelihoods are computed from.

Exact up to a million different values. Beyond, neighbours are joined into points of equal weight, by a fixed rule
(no random choice, unlike KLL), so that the same blocks always give the same recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_POINTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Counted:
    """Different values, rising, and how often each occurs; merges. Never changed in place.

    Attributes:
        values: Shape ``(n,)``, float64.
        counts: Shape ``(n,)``, int64.

    Example:
        >>> both = Counted.of(np.array([3.0, 1.0])).merge(Counted.of(np.array([3.0, 9.0])))
        >>> both.counts.tolist(), both.quantiles([0.25, 0.5, 1.0])
        ([1, 2, 1], [2.5, 3.0, 9.0])
    """

    values: Any
    counts: Any

    @classmethod
    def of(cls, finite: np.ndarray) -> Counted:
        """Of finite values, in any order."""
        return cls(*np.unique(finite, return_counts=True))._bounded()

    def merge(self, other: Counted) -> Counted:
        """Of both columns together."""
        values, places = np.unique(np.concatenate([self.values, other.values]), return_inverse=True)
        counts = np.zeros(len(values), dtype=np.int64)
        np.add.at(counts, places, np.concatenate([self.counts, other.counts]))
        return Counted(values, counts)._bounded()

    @property
    def total(self) -> int:
        """How many values, with repetition."""
        return int(self.counts.sum())

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Values below which these shares lie, interpolated as numpy does by default; needs one value at least."""
        ends = np.cumsum(self.counts)
        found = []
        for share in shares:
            place = share * (self.total - 1)
            low, high = (int(np.searchsorted(ends, at, side="right")) for at in (np.floor(place), np.ceil(place)))
            low_value, high_value = float(self.values[low]), float(self.values[high])
            # Weighted rather than by the difference, which overflows for values of opposite sign near the limit.
            part = place - np.floor(place)
            found.append(low_value if low_value == high_value else float(low_value * (1 - part) + high_value * part))
        return found

    def _bounded(self) -> Counted:
        if len(self.values) <= MOST_POINTS:
            return self
        ends = np.cumsum(self.counts)
        total = int(ends[-1])
        edges = (np.arange(1, MOST_POINTS + 1) * total) // MOST_POINTS
        places = np.unique(np.minimum(np.searchsorted(ends, edges), len(ends) - 1))
        return Counted(self.values[places], np.diff(ends[places], prepend=0))
