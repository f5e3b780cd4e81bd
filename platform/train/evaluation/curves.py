"""Tables behind the plots: calibration, thresholds and their cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core import ConfigError

Floats = NDArray[np.float64]
_POINTS = 101


@dataclass(frozen=True, slots=True)
class Costs:
    """What a wrong answer costs, and a right one brings, in any one unit.

    Attributes:
        false_positive: Of saying yes to a no.
        false_negative: Of saying no to a yes.
        true_positive: Of saying yes to a yes; negative when it brings something.
        true_negative: Of saying no to a no.

    Example:
        >>> Costs(false_positive=1, false_negative=5).best_if_calibrated
        0.16666666666666666
    """

    false_positive: float = 1.0
    false_negative: float = 1.0
    true_positive: float = 0.0
    true_negative: float = 0.0

    def __post_init__(self) -> None:
        if self.false_positive <= self.true_negative or self.false_negative <= self.true_positive:
            raise ConfigError(f"{self} is not valid: a wrong answer must cost more than the right one")

    @property
    def best_if_calibrated(self) -> float:
        """The threshold that costs least when the scores are true probabilities (Elkan 2001)."""
        wrong_yes, wrong_no = self.false_positive - self.true_negative, self.false_negative - self.true_positive
        return wrong_yes / (wrong_yes + wrong_no)


@dataclass(frozen=True, slots=True)
class Threshold:
    """What deciding at a threshold leads to.

    Attributes:
        value: Scores from here on are a yes.
        precision: Share of the yeses that are right; NaN without any yes.
        recall: Share of the positives that get a yes.
        yes: Share of the rows that get a yes.
        cost: Mean cost of a row.
    """

    value: float
    precision: float
    recall: float
    yes: float
    cost: float


def thresholds(scores: Floats, labels: Floats, costs: Costs, points: int = _POINTS) -> tuple[Threshold, ...]:
    """Thresholds 0 to 1 in even steps, and what each leads to.

    Example:
        >>> found = thresholds(np.array([0.2, 0.8]), np.array([0.0, 1.0]), Costs(), points=3)
        >>> [(one.value, one.recall, one.cost) for one in found]
        [(0.0, 1.0, 0.5), (0.5, 1.0, 0.0), (1.0, 0.0, 0.5)]
    """
    late = labels >= 0.5
    order = np.argsort(scores, kind="stable")
    values = np.linspace(0, 1, points)
    below = np.searchsorted(scores[order], values, side="left")
    positives = np.concatenate([[0], np.cumsum(late[order])])
    fn = positives[below].astype(float)
    tp, tn = late.sum() - fn, below - fn
    fp = len(scores) - below - tp
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = tp / (tp + fp), tp / late.sum()
    cost = tp * costs.true_positive + fp * costs.false_positive + fn * costs.false_negative + tn * costs.true_negative
    rows = len(scores)
    columns = (values, precision, recall, (tp + fp) / rows, cost / rows)
    return tuple(Threshold(*map(float, row)) for row in zip(*columns, strict=True))


def cheapest(found: tuple[Threshold, ...]) -> Threshold:
    """The threshold of the least cost; of equal ones the middle."""
    least = min(one.cost for one in found)
    same = [one for one in found if one.cost <= least + 1e-12]
    return same[len(same) // 2]


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar scores.

    Attributes:
        score: Their mean score.
        share: Share of them that are positive.
        low: Lower end of the share's 95 % interval (Wilson 1927).
        high: Upper end.
        rows: How many.
    """

    score: float
    share: float
    low: float
    high: float
    rows: int


def calibration(scores: Floats, labels: Floats, bins: int = 10) -> tuple[Bin, ...]:
    """Mean score and positive share of `bins` groups with equally many rows; equal scores stay together.

    Example:
        >>> [(one.score, one.share, one.rows) for one in calibration(np.array([0.1, 0.1, 0.9]), np.array([0, 0, 1.0]))]
        [(0.1, 0.0, 2), (0.9, 1.0, 1)]
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, scores, side="right")
    counts = np.bincount(place, minlength=len(edges) + 1).astype(float)
    there = counts > 0
    counts = counts[there]
    score = np.bincount(place, scores, minlength=len(edges) + 1)[there] / counts
    share = np.bincount(place, labels, minlength=len(edges) + 1)[there] / counts
    low, high = _wilson(share, counts)
    return tuple(
        Bin(float(a), float(b), float(c), float(d), int(n))
        for a, b, c, d, n in zip(score, share, low, high, counts, strict=True)
    )


def _wilson(share: Floats, rows: Floats) -> tuple[Floats, Floats]:
    z = 1.959963984540054
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return np.maximum(0, middle - half), np.minimum(1, middle + half)
