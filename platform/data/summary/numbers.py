"""Numbers: moments that merge exactly, quantiles that merge within half a percent of rank.

Moments merge by Pébay, 'Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
statistical moments', 2008. Quantiles are a KLL sketch (Karnin, Lang and Liberty, 2016) of the datasketches package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_ENOUGH = 16_384
SKETCH_SIZE = 400  # normalised rank error 0.7 % at 99 % confidence, 9 kB


@dataclass(frozen=True, slots=True)
class Numbers:
    """A mergeable summary of the finite values of a column.

    Attributes:
        count: Finite values.
        mean: Their mean; 0 when there are none.
        m2: Sum of squared deviations from the mean.
        m3: Sum of cubed deviations.
        m4: Sum of deviations to the fourth power.
        low: Smallest value; infinity when there is none.
        high: Largest value; minus infinity when there is none.
        zeros: Values equal to 0.
        negative: Values below 0.
        infinite: Infinities, which no other figure counts.
        sketch: The KLL sketch as bytes.

    Example:
        >>> one, two = Numbers.of(np.array([1.0, 2.0])), Numbers.of(np.array([3.0, np.inf]))
        >>> both = one.merge(two)
        >>> both.count, both.mean, both.standard_deviation, both.infinite
        (3, 2.0, 1.0, 1)
        >>> both.quantiles([0, 0.5, 1]).tolist()
        [1.0, 2.0, 3.0]
    """

    count: int
    mean: float
    m2: float
    m3: float
    m4: float
    low: float
    high: float
    zeros: int
    negative: int
    infinite: int
    sketch: bytes

    @classmethod
    def of(cls, values: Floats) -> Numbers:
        """Of an array without NaN, shape ``(n,)``."""
        ordered = np.sort(values)  # the sketch takes a sorted array three times as fast, and the rest is looked up
        finite = ordered[np.searchsorted(ordered, -np.inf, side="right") : np.searchsorted(ordered, np.inf)]
        sketch = _sketch_of_sorted(finite)
        if not len(finite):
            nothing = (0, 0.0, 0.0, 0.0, 0.0, math.inf, -math.inf, 0, 0)
            return cls(*nothing, len(values), bytes(sketch.serialize()))
        mean = float(finite.mean())
        away = finite - mean
        squares = away * away
        negative = int(np.searchsorted(finite, 0.0))
        return cls(
            count=len(finite),
            mean=mean,
            m2=float(squares.sum()),
            m3=float(np.multiply(squares, away, out=away).sum()),
            m4=float(np.multiply(squares, squares, out=squares).sum()),
            low=float(finite[0]),
            high=float(finite[-1]),
            zeros=int(np.searchsorted(finite, 0.0, side="right")) - negative,
            negative=negative,
            infinite=len(values) - len(finite),
            sketch=bytes(sketch.serialize()),
        )

    def merge(self, other: Numbers) -> Numbers:
        """Of both columns together."""
        total = self.count + other.count
        mean, m2, m3, m4 = _merged_moments(self, other) if self.count and other.count else _only(self, other)
        sketch = _sketch(self.sketch)
        sketch.merge(_sketch(other.sketch))
        return Numbers(
            count=total,
            mean=mean,
            m2=m2,
            m3=m3,
            m4=m4,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            zeros=self.zeros + other.zeros,
            negative=self.negative + other.negative,
            infinite=self.infinite + other.infinite,
            sketch=bytes(sketch.serialize()),
        )

    @property
    def standard_deviation(self) -> float:
        """Of the sample (``n - 1``); NaN below two values."""
        return math.sqrt(max(0.0, self.m2) / (self.count - 1)) if self.count > 1 else math.nan

    @property
    def skewness(self) -> float:
        """The third standardised moment; NaN when all values are equal."""
        return math.sqrt(self.count) * self.m3 / self.m2**1.5 if self._spread else math.nan

    @property
    def kurtosis(self) -> float:
        """The fourth standardised moment less 3 (0 for a normal distribution); NaN when all values are equal."""
        return self.count * self.m4 / (self.m2 * self.m2) - 3.0 if self._spread else math.nan

    def quantiles(self, shares: Sequence[float]) -> Floats:
        """Values below which these shares of the values lie; the ends are exact, NaN when there are none."""
        if not self.count:
            return np.full(len(shares), np.nan)
        found = np.array(_sketch(self.sketch).get_quantiles(list(shares)), dtype=np.float64)
        return np.where(np.asarray(shares) <= 0, self.low, np.where(np.asarray(shares) >= 1, self.high, found))

    def share_below(self, edges: Sequence[float]) -> Floats:
        """Share of the values at or below each edge, 0 to 1; edges must rise."""
        if not self.count:
            return np.full(len(edges), np.nan)
        sketch = _sketch(self.sketch)
        return np.array([sketch.get_rank(edge, True) for edge in edges], dtype=np.float64)

    @property
    def _spread(self) -> bool:
        # A variance below the rounding error of the mean is none.
        return self.count > 0 and self.m2 > self.count * (self.mean * 1e-14) ** 2 and self.m2 * self.m2 > 0.0


def _merged_moments(one: Numbers, two: Numbers) -> tuple[float, float, float, float]:
    na, nb = float(one.count), float(two.count)
    n, delta = na + nb, two.mean - one.mean
    part = delta / n
    m2 = one.m2 + two.m2 + delta * part * na * nb
    m3 = one.m3 + two.m3 + delta * part * part * na * nb * (na - nb) + 3 * part * (na * two.m2 - nb * one.m2)
    m4 = (
        one.m4
        + two.m4
        + delta * part**3 * na * nb * (na * na - na * nb + nb * nb)
        + 6 * part * part * (na * na * two.m2 + nb * nb * one.m2)
        + 4 * part * (na * two.m3 - nb * one.m3)
    )
    return one.mean + part * nb, m2, m3, m4


def _only(one: Numbers, two: Numbers) -> tuple[float, float, float, float]:
    full = one if one.count else two
    return full.mean, full.m2, full.m3, full.m4


def _sketch_of_sorted(ordered: Floats) -> Any:
    """The sketch of a sorted array.

    Of a long one, every 2**n-th value, each as often as the values that it stands for (a sketch that is merged with
    itself counts double): at most 1/16,384 off in rank, a hundredth of the sketch's own error, in a fiftieth of the
    time.
    """
    from datasketches import kll_doubles_sketch

    doublings = max(0, (len(ordered) // _ENOUGH).bit_length() - 1)
    step = 1 << doublings
    sketch = kll_doubles_sketch(SKETCH_SIZE)
    sketch.update(ordered[step // 2 :: step])
    for _ in range(doublings):
        sketch.merge(_sketch(sketch.serialize()))
    return sketch


def _sketch(data: bytes) -> Any:
    from datasketches import kll_doubles_sketch

    return kll_doubles_sketch.deserialize(data)
