"""Metrics of ranked lists: one list for each group (query, user, flight), judged by its relevances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core import DataError
from .bootstrap import bootstrap, interval
from .weighted import mean_of

RANKING = ("ndcg", "map", "mrr", "precision", "recall")


def evaluate_ranking(
    scores: ArrayLike, relevance: ArrayLike, groups: ArrayLike, *, k: int = 10, resamples: int = 0, seed: int = 0
) -> dict[str, Any]:
    """Judge the order that `scores` give to each group; metrics are means over the groups.

    Args:
        scores: float (n,); the larger, the earlier in its group. Ties keep their order.
        relevance: float (n,), 0 or more: 0 is irrelevant.
        groups: (n,) which list a row belongs to.
        k: How much of a list counts.
        resamples: Bootstrap resamples of groups for 95 % intervals; 0 gives none.
        seed: Of the resamples.

    Returns:
        ``ndcg@k`` (gain ``2**relevance - 1``; Järvelin & Kekäläinen 2002, Burges et al. 2005), ``map@k``, ``mrr@k``,
        ``precision@k``, ``recall@k``; ``groups`` (those with something relevant, which alone count), and
        ``intervals`` if asked.

    Raises:
        DataError: No rows, different lengths, numbers that are not finite, or nothing relevant at all.

    Example:
        >>> found = evaluate_ranking([0.9, 0.8, 0.1, 0.7, 0.2], [1, 0, 0, 0, 1], ["a", "a", "a", "b", "b"], k=2)
        >>> found["mrr@2"], found["map@2"], round(found["ndcg@2"], 4)
        (0.75, 0.75, 0.8155)
    """
    predicted, gains = np.asarray(scores, np.float64), np.asarray(relevance, np.float64)
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    if predicted.ndim != 1 or predicted.shape != gains.shape or predicted.shape != member.shape:
        raise DataError(f"scores {predicted.shape}, relevance {gains.shape} and groups {member.shape} differ in shape")
    if not len(predicted):
        raise DataError("0 rows to evaluate: give at least one score and its relevance")
    if not np.isfinite(predicted).all() or not np.isfinite(gains).all() or (gains < 0).any():
        raise DataError("scores and relevances must be finite numbers, and relevances 0 or more")
    per_group = _per_group(predicted, gains, member, k)
    if not len(per_group["ndcg"]):
        raise DataError("no group has anything relevant: nothing can be ranked well or badly")
    found: dict[str, Any] = {f"{name}@{k}": float(values.mean()) for name, values in per_group.items()}
    found["groups"] = len(per_group["ndcg"])
    if resamples:
        drawn = bootstrap({n: mean_of(v) for n, v in per_group.items()}, found["groups"], resamples, seed)
        found["intervals"] = {f"{name}@{k}": interval(values, 0.95) for name, values in drawn.items()}
    return found


def _per_group(
    scores: NDArray[np.float64], gains: NDArray[np.float64], member: NDArray[Any], k: int
) -> dict[str, NDArray[np.float64]]:
    count = int(member.max()) + 1
    order, ideal = np.lexsort((-scores, member)), np.lexsort((-gains, member))
    sizes = np.bincount(member, minlength=count)
    place = np.arange(len(scores)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    group, near = member[order], place < k
    discount = np.where(near, 1 / np.log2(place + 2), 0)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(group, values, minlength=count), dtype=np.float64)

    ranked, hit = gains[order], (gains[order] > 0).astype(float)
    relevant = total(hit)
    hits_so_far = np.cumsum(hit) - np.repeat(np.cumsum(relevant) - relevant, sizes)
    first = np.full(count, np.inf)
    np.minimum.at(first, group[(hit > 0) & near], place[(hit > 0) & near])
    some = relevant > 0
    best = total((2 ** gains[ideal] - 1) * discount)
    depth = np.minimum(relevant, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "ndcg": total((2**ranked - 1) * discount) / best,
            "map": total(hit * near * hits_so_far / (place + 1)) / depth,
            "mrr": 1 / (first + 1),
            "precision": total(hit * near) / k,
            "recall": total(hit * near) / relevant,
        }
    return {name: values[some] for name, values in found.items()}
