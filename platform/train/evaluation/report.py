"""`evaluate_model`: everything about a model on a frozen evaluation set, recorded with the version."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...core import ConfigError, Workspace
from ...registry import ModelVersion, model_version, put_folder, record_evaluation
from ..model import LoadedModel
from .bootstrap import bootstrap, interval
from .curves import Bin, Costs, Threshold, calibration, cheapest, thresholds
from .plots import draw
from .scored import Scored, chosen_metrics, score
from .slices import slices as slices_of

REPORT_FILE = "evaluation.json"
_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class Slice:
    """Metrics of a part of the rows.

    Attributes:
        name: Such as ``carrier=UA``.
        rows: How many rows.
        metrics: Metric to value; NaN where it cannot be judged, such as an AUC of one class.
    """

    name: str
    rows: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is known of a model on one set of labelled rows.

    Attributes:
        model: The model, ``name@version`` when it is registered.
        data: The pinned table, such as ``flights@3``; ``""`` for rows in memory.
        task: ``binary``, ``multiclass`` or ``regression``.
        rows: Number of rows.
        metrics: Metric to value.
        intervals: Metric to the ends of its bootstrap interval.
        slices: Parts of the rows.
        calibration: Bins of scores and what came of them; for several classes of the most probable one.
        thresholds: Binary: what deciding at each threshold leads to.
        best: Binary: the threshold that costs least.
        artifact: Digest of the folder with the report and the plots, or ``None``.
    """

    model: str
    data: str
    task: str
    rows: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    slices: tuple[Slice, ...] = ()
    calibration: tuple[Bin, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    best: Threshold | None = None
    artifact: str | None = None

    def __str__(self) -> str:
        lines = [f"{self.model} on {self.data or 'rows in memory'}: {self.rows} rows, {self.task}"]
        for name, value in self.metrics.items():
            low, high = self.intervals.get(name, (math.nan, math.nan))
            lines.append(f"  {name:<18} {value:10.4f}" + (f"   {low:.4f} to {high:.4f}" if low == low else ""))
        return "\n".join(lines)


def evaluate_model(
    ws: Workspace,
    model: str | ModelVersion | LoadedModel,
    rows: pa.Table | str,
    *,
    label: str | None = None,
    metrics: Sequence[str] | None = None,
    slices: Sequence[str] = (),
    costs: Costs | None = None,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    plots: bool = True,
) -> Evaluation:
    """Evaluate a model on labelled rows; of a registered model and a table, the result is recorded with the version.

    Args:
        ws: The workspace.
        model: ``name@version``, ``name@alias``, a ModelVersion, a digest, or a loaded model.
        rows: A table reference, which is pinned to its newest version when it names none, or rows in memory.
        label: The label column; default the model's own.
        metrics: Which metrics; default all of the task.
        slices: Columns to slice by: each value, or quarters of numbers, gets its own metrics.
        costs: Binary: what wrong answers cost, for the best threshold; default equal costs.
        resamples: Bootstrap resamples for the intervals; 0 gives none.
        confidence: Of the intervals.
        seed: Of the resamples: the same rows and seed give the same intervals.
        plots: Whether to draw and store plots.

    Raises:
        NotFound: No such model or table.
        SchemaMismatch: The rows lack the label, a slice's or a model's column.
        DataError: No rows, or labels that are missing or foreign to the model.
        ConfigError: An unknown metric, or costs for a model that is not binary.

    Example:
        >>> found = evaluate_model(ws, "flight-delay@champion", "training.flights", slices=["carrier"], plots=False)
        >>> found.metrics["auc"] > 0.8, found.intervals["auc"][0] < found.metrics["auc"], len(found.slices)
        (True, True, 3)
    """
    if costs is not None and not isinstance(costs, Costs):
        raise ConfigError(f"costs={costs!r} is not valid: use train.Costs(false_positive=..., false_negative=...)")
    scored = score(ws, model, rows, label)
    if costs is not None and scored.task != "binary":
        raise ConfigError(f"costs are for binary models, and {scored.name} is {scored.task}: leave them out")
    found = judge_scored(scored, metrics, slices, costs or Costs(), resamples, confidence, seed)
    version = _version(ws, model)
    if plots or version is not None:
        found = _store(ws, found, scored, plots)
    if version is not None and found.data:
        record_evaluation(
            ws,
            version,
            data=found.data,
            task=found.task,
            rows=found.rows,
            metrics={name: value for name, value in found.metrics.items() if math.isfinite(value)},
            artifact=found.artifact,
        )
    return found


def judge_scored(
    scored: Scored,
    metrics: Sequence[str] | None,
    slices: Sequence[str],
    costs: Costs,
    resamples: int,
    confidence: float,
    seed: int,
) -> Evaluation:
    """The evaluation of scores, nothing stored."""
    chosen = chosen_metrics(scored.task, None if metrics is None else tuple(metrics))
    count = len(scored.labels)
    drawn = bootstrap(scored.measures(chosen), count, resamples, seed) if resamples else {}
    parts = [Slice(name, int(mask.sum()), scored.values(chosen, mask)) for name, mask in slices_of(scored.rows, slices)]
    curve = thresholds(scored.scores, scored.labels, costs) if scored.task == "binary" else ()
    return Evaluation(
        model=scored.name,
        data=scored.data,
        task=scored.task,
        rows=count,
        metrics=scored.values(chosen),
        intervals={name: interval(values, confidence) for name, values in drawn.items()},
        slices=tuple(parts),
        calibration=_calibration(scored),
        thresholds=curve,
        best=cheapest(curve) if curve else None,
    )


def _calibration(scored: Scored) -> tuple[Bin, ...]:
    if scored.task == "binary":
        return calibration(scored.scores, scored.labels)
    if scored.task == "multiclass":
        right = scored.scores.argmax(axis=1) == scored.labels
        return calibration(scored.scores.max(axis=1), right.astype(np.float64))
    return ()


def _store(ws: Workspace, found: Evaluation, scored: Scored, plots: bool) -> Evaluation:
    with tempfile.TemporaryDirectory(prefix="raylake-evaluation-") as name:
        folder = Path(name) / "evaluation"
        folder.mkdir()
        written = draw(scored, found.calibration, found.thresholds, folder) if plots else []
        facts = {**_finite(asdict(found)), "plots": written, "predicted_actual": _examples(scored)}
        (folder / REPORT_FILE).write_text(json.dumps(facts, indent=1, sort_keys=True))
        digest = put_folder(ws, folder)
    values = {name: getattr(found, name) for name in Evaluation.__slots__}
    return Evaluation(**{**values, "artifact": digest})


def _examples(scored: Scored) -> list[list[float]]:
    """Predicted and actual of evenly chosen rows."""
    at = np.unique(np.linspace(0, len(scored.labels) - 1, min(_EXAMPLES, len(scored.labels))).astype(int))
    predicted = scored.scores if scored.scores.ndim == 1 else scored.scores.argmax(axis=1)
    return [[float(predicted[row]), float(scored.labels[row])] for row in at]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _version(ws: Workspace, model: str | ModelVersion | LoadedModel) -> ModelVersion | None:
    if isinstance(model, ModelVersion):
        return model
    if isinstance(model, str) and ("@" in model or len(model) != 64):
        return model_version(ws, model)
    return None
