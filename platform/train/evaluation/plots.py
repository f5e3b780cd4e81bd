"""Plots of an evaluation as files: SVG for pages, PNG for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .curves import Bin, Threshold
from .scored import Scored

_MOST_POINTS = 4000
_MOST_CLASSES = 30
_BLUE, _GREY, _RED = "#2f6db5", "#999999", "#b5432f"


def draw(scored: Scored, bins: tuple[Bin, ...], costs: tuple[Threshold, ...], folder: Path) -> list[str]:
    """Draw the plots of a task into `folder`; returns the file names.

    Binary: ``roc``, ``precision_recall``, ``calibration``, ``scores``, ``cost``. Multiclass: ``confusion``,
    ``calibration``. Regression: ``predicted_actual``, ``residuals``. Each as ``.svg`` and ``.png``.
    """
    makers: Mapping[str, Mapping[str, Callable[[Any], None]]] = {
        "binary": {
            "roc": lambda axes: _roc(axes, scored),
            "precision_recall": lambda axes: _precision_recall(axes, costs),
            "calibration": lambda axes: _calibration(axes, bins),
            "scores": lambda axes: _scores(axes, scored),
            "cost": lambda axes: _cost(axes, costs),
        },
        "multiclass": {
            "confusion": lambda axes: _confusion(axes, scored),
            "calibration": lambda axes: _calibration(axes, bins),
        },
        "regression": {
            "predicted_actual": lambda axes: _predicted_actual(axes, scored),
            "residuals": lambda axes: _residuals(axes, scored),
        },
    }
    written = []
    for name, maker in makers[scored.task].items():
        written += _save(name, maker, scored.name, folder)
    return written


def _save(name: str, maker: Callable[[Any], None], title: str, folder: Path) -> list[str]:
    # No pyplot: it keeps figures alive, and picks a screen.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Fixed ids and no date: the same evaluation gives the same files.
    with rc_context({"svg.hashsalt": "raylake"}):
        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.add_subplot()
        maker(axes)
        axes.set_title(f"{title}: {name.replace('_', ' ')}", fontsize=10)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
    return [f"{name}.svg", f"{name}.png"]


def _roc(axes: Any, scored: Scored) -> None:
    from sklearn.metrics import roc_curve

    if len(np.unique(scored.labels)) < 2:
        axes.text(0.5, 0.5, "labels of one class only", ha="center")
        return
    false, true, _ = roc_curve(scored.labels, scored.scores)
    axes.plot([0, 1], [0, 1], color=_GREY, lw=1, ls="--")
    axes.plot(false, true, color=_BLUE)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02))


def _precision_recall(axes: Any, costs: tuple[Threshold, ...]) -> None:
    known = [one for one in costs if one.precision == one.precision]
    axes.plot([one.recall for one in known], [one.precision for one in known], color=_BLUE)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))


def _calibration(axes: Any, bins: tuple[Bin, ...]) -> None:
    axes.plot([0, 1], [0, 1], color=_GREY, lw=1, ls="--")
    score, share = [one.score for one in bins], [one.share for one in bins]
    below = [max(0.0, one.share - one.low) for one in bins]
    above = [max(0.0, one.high - one.share) for one in bins]
    axes.errorbar(score, share, [below, above], color=_BLUE, marker="o", ms=4, capsize=2)
    axes.set(xlabel="mean score", ylabel="share of positives, 95 % interval", xlim=(0, 1), ylim=(0, 1.02))


def _scores(axes: Any, scored: Scored) -> None:
    late = scored.labels >= 0.5
    edges = np.linspace(0, 1, 41)
    for mask, color, label in ((~late, _GREY, scored.classes[0]), (late, _RED, scored.classes[1])):
        if not mask.any():
            continue
        axes.hist(scored.scores[mask], edges, color=color, alpha=0.6, label=str(label), density=True)
    axes.set(xlabel="score", ylabel="density", xlim=(0, 1))
    axes.legend(frameon=False)


def _cost(axes: Any, costs: tuple[Threshold, ...]) -> None:
    from .curves import cheapest

    best = cheapest(costs)
    axes.plot([one.value for one in costs], [one.cost for one in costs], color=_BLUE)
    axes.axvline(best.value, color=_RED, lw=1)
    axes.annotate(f"{best.value:.2f}", (best.value, best.cost), xytext=(4, 8), textcoords="offset points", color=_RED)
    axes.set(xlabel="threshold", ylabel="mean cost of a row", xlim=(0, 1))


def _confusion(axes: Any, scored: Scored) -> None:
    count = min(len(scored.classes), _MOST_CLASSES)
    guess = scored.scores.argmax(axis=1)
    table = np.zeros((count, count))
    known = (scored.labels < count) & (guess < count)
    np.add.at(table, (scored.labels[known].astype(int), guess[known]), 1)
    share = table / np.maximum(1, table.sum(axis=1, keepdims=True))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [str(one)[:16] for one in scored.classes[:count]]
    axes.set_xticks(range(count), names, rotation=90 if count > 5 else 0)
    axes.set_yticks(range(count), names)
    if count <= 10:
        for row in range(count):
            for column in range(count):
                color = "white" if share[row, column] > 0.6 else "black"
                axes.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center", color=color, fontsize=8)
    axes.set(xlabel="predicted", ylabel="actual")


def _predicted_actual(axes: Any, scored: Scored) -> None:
    chosen = _some(len(scored.labels))
    axes.scatter(scored.scores[chosen], scored.labels[chosen], s=6, alpha=0.4, color=_BLUE, linewidths=0)
    ends = [float(min(scored.scores.min(), scored.labels.min())), float(max(scored.scores.max(), scored.labels.max()))]
    axes.plot(ends, ends, color=_GREY, lw=1, ls="--")
    axes.set(xlabel="predicted", ylabel="actual")


def _residuals(axes: Any, scored: Scored) -> None:
    axes.hist(scored.scores - scored.labels, 60, color=_BLUE)
    axes.axvline(0, color=_GREY, lw=1, ls="--")
    axes.set(xlabel="predicted minus actual", ylabel="rows")


def _some(rows: int) -> Any:
    if rows <= _MOST_POINTS:
        return slice(None)
    return np.random.default_rng(0).choice(rows, _MOST_POINTS, replace=False)
