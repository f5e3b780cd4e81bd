"""Recorded evaluations over one frozen set of rows, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core import ConfigError, NotFound, Workspace
from ...registry import EvaluationRecord, evaluations
from .report import evaluate_model as evaluate_model
from .weighted import METRICS_OF


@dataclass(frozen=True, slots=True)
class Place:
    """A model's place among those that were evaluated on the same rows.

    Attributes:
        rank: 1 is best; equal values share a rank.
        model: ``name@version``.
        value: Value of the metric that ranks.
        metrics: All recorded metrics.
        artifact: Digest of the report and its plots, or ``None``.
    """

    rank: int
    model: str
    value: float
    metrics: dict[str, float]
    artifact: str | None


def leaderboard(ws: Workspace, data: str, metric: str, *, models: Sequence[str] = ()) -> tuple[Place, ...]:
    """The model versions that `evaluate_model` recorded on a pinned table, best first; the newest record of each.

    Args:
        ws: The workspace.
        data: The pinned table, such as ``flights@3``.
        metric: What ranks.
        models: Names of models, or ``name@version``; default all.

    Raises:
        ConfigError: A metric that no task has.
        NotFound: Nothing was evaluated on this table with this metric; the message lists what was.

    Example:
        >>> _ = evaluate_model(ws, "flight-delay@1", "training.flights@1", plots=False)
        >>> [(place.rank, place.model) for place in leaderboard(ws, "training.flights@1", "auc")]
        [(1, 'flight-delay@1')]
    """
    known = {name: one.bigger for metrics in METRICS_OF.values() for name, one in metrics.items()}
    if metric not in known:
        raise ConfigError(f"metric {metric!r} is not known: use one of {', '.join(sorted(known))}")
    newest: dict[str, EvaluationRecord] = {}
    for found in evaluations(ws, data=data):
        name = f"{found.model}@{found.version}"
        if metric in found.metrics and (not models or name in models or found.model in models):
            newest.setdefault(name, found)
    if not newest:
        others = sorted({found.data for found in evaluations(ws)})
        raise NotFound(
            f"no model has {metric} on {data!r}: evaluate one with train.evaluate_model; evaluated tables: "
            f"{', '.join(others) or 'none'}"
        )
    ordered = sorted(newest.items(), key=lambda item: item[1].metrics[metric], reverse=known[metric])
    values = [found.metrics[metric] for _, found in ordered]
    return tuple(
        Place(1 + values.index(found.metrics[metric]), name, found.metrics[metric], dict(found.metrics), found.artifact)
        for name, found in ordered
    )
