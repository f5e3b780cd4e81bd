"""A model's scores of labelled rows: what all judgements start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core import ConfigError, DataError, SchemaMismatch, Workspace
from ...data import table as read_table
from ...registry import ModelVersion, model_version, table_version
from ..labels import labels_of
from ..model import LoadedModel, open_model
from .weighted import METRICS_OF, Measure, Metric

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows, their labels and what a model says.

    Attributes:
        name: What to call the model.
        data: The pinned table, or ``""`` for rows in memory.
        task: The model's task.
        rows: The rows.
        scores: (n,) or (n, classes).
        labels: (n,); classes as their numbers.
        classes: What the numbers stand for.
    """

    name: str
    data: str
    task: str
    rows: pa.Table
    scores: Floats
    labels: Floats
    classes: tuple[int | str, ...]

    def measures(self, metrics: dict[str, Metric], mask: NDArray[np.bool_] | None = None) -> dict[str, Measure]:
        """The metrics, ready for weights of the chosen rows."""
        scores, labels = (self.scores, self.labels) if mask is None else (self.scores[mask], self.labels[mask])
        return {name: metric.prepare(scores, labels) for name, metric in metrics.items()}

    def values(self, metrics: dict[str, Metric], mask: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """The metrics of the chosen rows; NaN where they cannot be judged."""
        count = len(self.labels) if mask is None else int(mask.sum())
        if not count:
            return dict.fromkeys(metrics, float("nan"))
        ones = np.ones((1, count))
        return {name: float(measure(ones)[0]) for name, measure in self.measures(metrics, mask).items()}


def score(ws: Workspace, model: str | ModelVersion | LoadedModel, rows: pa.Table | str, label: str | None) -> Scored:
    """Score labelled rows.

    Raises:
        NotFound: No such model or table.
        SchemaMismatch: The rows lack the label or a column of the model.
        DataError: No rows, or labels that are missing or foreign to the model.
    """
    loaded = model if isinstance(model, LoadedModel) else open_model(ws, model)
    signature = loaded.signature
    name = label or signature.label
    data, table = pinned(ws, rows)
    if name not in table.column_names:
        raise SchemaMismatch(f"label column {name!r} is not in {data or 'the rows'}: it has {table.column_names}")
    if not table.num_rows:
        raise DataError(f"{data or 'the rows'}: 0 rows to evaluate on")
    labels = labels_of(table.column(name), signature.classes).astype(np.float64)
    if not np.isfinite(labels).all():
        bad = int((~np.isfinite(labels)).sum())
        raise DataError(f"label {name!r} is missing in {bad} of {len(labels)} rows: drop these rows")
    if signature.task == "binary" and not set(np.unique(labels)) <= {0.0, 1.0}:
        raise DataError(f"label {name!r} has values other than 0 and 1, and the model is binary")
    return Scored(
        _name(ws, model), data, signature.task, table, loaded.predict(table), labels, tuple(signature.classes)
    )


def pinned(ws: Workspace, rows: pa.Table | str) -> tuple[str, pa.Table]:
    """The pinned name of a table and its rows; ``""`` for rows in memory."""
    if isinstance(rows, pa.Table):
        return "", rows
    version = table_version(ws, rows)
    data = str(version.ref.at(version.version))
    return data, read_table(ws, data)


def chosen_metrics(task: str, names: tuple[str, ...] | None = None) -> dict[str, Metric]:
    """The metrics of a task, or those that are named.

    Raises:
        ConfigError: An unknown metric; the message lists the valid ones.

    Example:
        >>> chosen_metrics("binary", ("gini",))
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: metric 'gini' is not known for a binary label: use one of auc, ...
    """
    known = METRICS_OF[task]
    for name in names or ():
        if name not in known:
            raise ConfigError(f"metric {name!r} is not known for a {task} label: use one of {', '.join(known)}")
    return {name: known[name] for name in names or known}


def _name(ws: Workspace, model: str | ModelVersion | LoadedModel) -> str:
    if isinstance(model, ModelVersion):
        return f"{model.name}@{model.version}"
    if isinstance(model, LoadedModel):
        return str(model.info.get("run") or "model")
    if "@" in model or len(model) != 64:
        version = model_version(ws, model)
        return f"{version.name}@{version.version}"
    return model[:12]
