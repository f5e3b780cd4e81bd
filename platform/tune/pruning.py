"""Which trials have fallen behind."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

_ENOUGH = 5
Steps = Sequence[tuple[int, float]]


def falls_behind(trial: Steps, others: Sequence[Steps], *, larger_is_better: bool) -> bool:
    """The median rule (Golovin et al., 2017, section 3.2.2): the best so far is worse than half of the others so far.

    Args:
        trial: Steps and values of the trial, oldest first.
        others: The same of each trial that ran to its end; below five of them nothing is stopped.
        larger_is_better: Direction of the metric.

    Example:
        >>> good = [(1, 0.6), (2, 0.8)]
        >>> falls_behind([(1, 0.5), (2, 0.55)], [good] * 5, larger_is_better=True)
        True
        >>> falls_behind([(1, 0.7)], [good] * 5, larger_is_better=True)
        False
    """
    if not trial:
        return False
    step = trial[-1][0]
    sign = 1 if larger_is_better else -1
    reached = [[sign * value for at, value in other if at <= step] for other in others]
    averages = [statistics.fmean(values) for values in reached if values]
    if len(averages) < _ENOUGH:
        return False
    return max(sign * value for _, value in trial) < statistics.median(averages)
