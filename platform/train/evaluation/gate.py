"""Gates: what a challenger must show before it takes the champion's place, and a verdict in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core import ConfigError, DataError, Workspace
from ...registry import ModelVersion
from ..model import LoadedModel
from .bootstrap import bootstrap, interval
from .scored import Scored, chosen_metrics, score
from .slices import slices as slices_of
from .weighted import Metric

Judged = str | ModelVersion | LoadedModel


@dataclass(frozen=True, slots=True)
class Gate:
    """What is asked of a challenger, on labelled rows that both models score.

    Attributes:
        metric: What counts, such as ``auc`` or ``rmse``.
        beat_by: How much better than the champion it must be, in the metric's unit; below 0 it may be worse by so much.
        confidence: Ask it of the lower end of the gain's paired bootstrap interval, such as 0.95; ``None`` asks it of
            the gain itself.
        at_least: The metric must be this good at least (for errors: this small at most), champion or not.
        slices: Columns to slice by.
        slice_loss: How much worse than the champion a slice may be; ``None`` does not look.
        slice_rows: Slices of fewer rows are not judged (default 50).
        resamples: Bootstrap resamples.
        seed: Of the resamples.

    Example:
        >>> Gate("auc", beat_by=0.01, slices=("carrier",), slice_loss=0.02).metric
        'auc'
    """

    metric: str
    beat_by: float = 0.0
    confidence: float | None = None
    at_least: float | None = None
    slices: tuple[str, ...] = ()
    slice_loss: float | None = None
    slice_rows: int = 50
    resamples: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "slices", (self.slices,) if isinstance(self.slices, str) else tuple(self.slices))
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise ConfigError(f"Gate(confidence={self.confidence!r}) is not valid: use a share such as 0.95, or None")
        if self.slice_loss is not None and (self.slice_loss < 0 or not self.slices):
            raise ConfigError(
                f"Gate(slice_loss={self.slice_loss!r}, slices={self.slices!r}) is not valid: give 0 or more, and the "
                "columns to slice by"
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {**asdict(self), "slices": list(self.slices)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of a challenger.

    Attributes:
        passed: Whether it may take the champion's place.
        sentence: Why, in one sentence.
        challenger: Value of the metric.
        champion: The champion's; NaN without one.
        gain: How much better the challenger is, positive when it is better, whatever the metric's direction.
        interval: Ends of the gain's paired bootstrap interval (95 %, or the gate's confidence).
        slices: Slice to gain, those that were judged.
    """

    passed: bool
    sentence: str
    challenger: float
    champion: float
    gain: float
    interval: tuple[float, float]
    slices: dict[str, float]

    def __bool__(self) -> bool:
        return self.passed


def judge(
    ws: Workspace,
    gate: Gate,
    challenger: Judged,
    champion: Judged | None,
    rows: pa.Table | str,
    *,
    label: str | None = None,
) -> Verdict:
    """Let both models score the same rows, and say whether the challenger passes.

    Args:
        ws: The workspace.
        gate: What is asked.
        challenger: The new model.
        champion: The one to beat; ``None`` when there is none yet: then only `at_least` is asked.
        rows: A table reference or rows in memory, with labels.
        label: The label column; default the challenger's own.

    Raises:
        ConfigError: The metric is not one of the task's, or the models have different tasks or classes.
        DataError, SchemaMismatch: The rows cannot be judged on; or the metric cannot be computed on them.

    Example:
        >>> verdict = judge(ws, Gate("auc"), "flight-delay@1", "flight-delay@champion", "training.flights")
        >>> verdict.passed, verdict.sentence
        (True, 'flight-delay@1 passes: auc is ..., as good as flight-delay@1.')
    """
    new = score(ws, challenger, rows, label)
    metric = chosen_metrics(new.task, (gate.metric,))[gate.metric]
    old = None if champion is None else score(ws, champion, rows, label)
    if old is not None and (old.task, old.classes) != (new.task, new.classes):
        raise ConfigError(
            f"{new.name} is {new.task} of {new.classes} and {old.name} is {old.task} of {old.classes}: "
            "models of different tasks cannot be compared"
        )
    value = _value(new, metric)
    if old is None:
        return _alone(gate, metric, new, value)
    before = _value(old, metric)
    sign = 1 if metric.bigger else -1
    gain = sign * (value - before)
    low, high = _interval(gate, metric, new, old, sign)
    parts = dict(_slice_gains(gate, metric, new, old, sign))
    failed = list(_failures(gate, metric, value, gain, low, parts))
    sentence = _sentence(gate, metric, new, old, value, before, gain, parts, failed)
    return Verdict(not failed, sentence, value, before, gain, (low, high), parts)


def _value(scored: Scored, metric: Metric) -> float:
    found = scored.values({metric.name: metric})[metric.name]
    if not math.isfinite(found):
        raise DataError(
            f"{metric.name} of {scored.name} cannot be computed on these {len(scored.labels)} rows: their labels do "
            "not vary; choose other rows or another metric"
        )
    return found


def _alone(gate: Gate, metric: Metric, new: Scored, value: float) -> Verdict:
    failed = list(_failures(gate, metric, value, math.inf, math.inf, {}))
    said = f"there is no champion, and {metric.name} is {value:.4g}"
    sentence = f"{new.name} {'does not pass: ' if failed else 'passes: '}{said}{': ' + failed[0] if failed else ''}."
    return Verdict(not failed, sentence, value, math.nan, math.nan, (math.nan, math.nan), {})


def _interval(gate: Gate, metric: Metric, new: Scored, old: Scored, sign: int) -> tuple[float, float]:
    """Of the gain: both models see the same resamples, so that what all rows have in common cancels out."""
    measures = {
        "new": metric.prepare(new.scores, new.labels),
        "old": metric.prepare(old.scores, old.labels),
    }
    drawn = bootstrap(measures, len(new.labels), gate.resamples, gate.seed)
    return interval(sign * (drawn["new"] - drawn["old"]), gate.confidence or 0.95)


def _slice_gains(gate: Gate, metric: Metric, new: Scored, old: Scored, sign: int) -> Iterator[tuple[str, float]]:
    for name, mask in slices_of(new.rows, gate.slices):
        if int(np.sum(mask)) < gate.slice_rows:
            continue
        gain = sign * (_of(new, metric, mask) - _of(old, metric, mask))
        if math.isfinite(gain):
            yield name, gain


def _of(scored: Scored, metric: Metric, mask: NDArray[np.bool_]) -> float:
    return scored.values({metric.name: metric}, mask)[metric.name]


def _failures(
    gate: Gate, metric: Metric, value: float, gain: float, low: float, parts: dict[str, float]
) -> Iterator[str]:
    if gate.at_least is not None and (value < gate.at_least if metric.bigger else value > gate.at_least):
        yield f"{'at least' if metric.bigger else 'at most'} {gate.at_least:.4g} is asked"
    if gate.confidence is not None and low < gate.beat_by:
        yield f"the gain may be as low as {low:+.4g}, and at least {gate.beat_by:+.4g} is asked"
    if gate.confidence is None and gain < gate.beat_by:
        yield f"at least {gate.beat_by:+.4g} is asked"
    if gate.slice_loss is not None and parts:
        worst = min(parts, key=lambda name: parts[name])
        if parts[worst] < -gate.slice_loss:
            yield f"it is worse by {-parts[worst]:.4g} where {worst}, and {gate.slice_loss:.4g} is allowed"


def _sentence(
    gate: Gate,
    metric: Metric,
    new: Scored,
    old: Scored,
    value: float,
    before: float,
    gain: float,
    parts: dict[str, float],
    failed: list[str],
) -> str:
    beside = (
        f"as good as {old.name}"
        if gain == 0
        else (f"{'better' if gain > 0 else 'worse'} by {abs(gain):.4g} than the {before:.4g} of {old.name}")
    )
    said = f"{metric.name} is {value:.4g}, {beside}"
    if failed:
        return f"{new.name} does not pass: {said}; {'; '.join(failed)}."
    watched = ""
    if gate.slice_loss is not None and parts:
        watched = f", and none of {len(parts)} slices is worse by more than {gate.slice_loss:.4g}"
    return f"{new.name} passes: {said}{watched}."
