"""The figures of one window of traffic: drift, prediction drift, missing values, decay. No rendering, no recording."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import registry
from ..core import DataError, Node, Workspace, table_node
from ..registry import ModelVersion
from ..train import LoadedModel, open_model
from .columns import is_comparable
from .compare import auc, interval
from .drift import Drift, Thresholds, drift
from .traffic import captured
from .truth import truth, with_labels

SCORE, PREDICTION = "score", "prediction"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured on one window.

    Attributes:
        endpoint: Name of the endpoint.
        model: The version whose training sample is the reference.
        window: Start (included) and end (excluded) of event time, UTC.
        drift: Drift of the model's input columns.
        prediction: Drift of its answers, ``None`` when they cannot be compared.
        metrics: Rows, nulls, labels, AUC, ...
        reference_node: The training table in the lineage graph.
        current_node: The pinned prediction log in the lineage graph.
        reference: The reference rows, prediction included.
        current: The window's rows, the same columns.
    """

    endpoint: str
    model: ModelVersion
    window: tuple[datetime, datetime]
    drift: Drift
    prediction: Drift | None
    metrics: dict[str, Any]
    reference_node: Node
    current_node: Node
    reference: pa.Table
    current: pa.Table


def serving_model(ws: Workspace, endpoint: str, alias: str | None = None) -> ModelVersion:
    """The model version that an endpoint answers with: what its target points at now.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        alias: Look at this alias of the deployed model instead of the deployment's target.

    Raises:
        NotFound: The endpoint was never deployed, or the alias does not exist.
    """
    deployed = registry.deployment(ws, endpoint)
    return registry.model_version(ws, f"{deployed.model}@{alias}" if alias else deployed.target)


def measure(
    ws: Workspace,
    endpoint: str,
    window: tuple[datetime, datetime],
    *,
    model: ModelVersion,
    thresholds: Thresholds | None = None,
    labels: pa.Table | None = None,
    as_of: datetime | None = None,
) -> Figures:
    """Measure one window of captured traffic against a model's training sample.

    Args:
        ws: The workspace.
        endpoint: Name of the endpoint.
        window: Start (included) and end (excluded) of event time; aware datetimes.
        model: The version whose sample is the reference.
        thresholds: When a column counts as drifted.
        labels: Columns ``id``, ``label`` and ``known_at`` instead of the stored ground truth.
        as_of: Use only labels known at this moment.

    Raises:
        NotFound: The endpoint has captured nothing yet.
        DataError: No traffic in the window, or the model has no training sample.
    """
    log, rows = captured(ws, endpoint, window)
    if not rows.num_rows:
        raise DataError(
            f"endpoint {endpoint!r} captured no request between {window[0]:%Y-%m-%d %H:%M} and "
            f"{window[1]:%Y-%m-%d %H:%M}: choose a window with traffic"
        )
    loaded = open_model(ws, model, threads=2)
    reference = _reference(loaded, model)
    columns = [name for name in loaded.signature.names if _shared(name, reference, rows)]
    found = drift(reference, rows, columns, thresholds)
    answers = _answers(rows, model)
    prediction = _prediction_drift(reference, answers, thresholds)
    known = labels if labels is not None else truth(ws, endpoint, as_of=as_of)
    metrics = _metrics(rows, found, prediction, with_labels(answers, known), model)
    return Figures(
        endpoint=endpoint,
        model=model,
        window=window,
        drift=found,
        prediction=prediction,
        metrics=metrics,
        reference_node=_reference_node(loaded, model),
        current_node=log.node,
        reference=_with_prediction(reference, columns, SCORE, prediction),
        current=_with_prediction(rows, columns, PREDICTION, prediction),
    )


def _reference(loaded: LoadedModel, model: ModelVersion) -> pa.Table:
    if not loaded.reference.num_rows:
        raise DataError(
            f"model {model} has no sample of its training data (MLflow's client logs none), so drift has nothing to "
            "compare with: use monitor.drift(reference, current) with rows of your own, or a model that raylake trained"
        )
    return loaded.reference


def _shared(name: str, reference: pa.Table, current: pa.Table) -> bool:
    return all(
        name in table.column_names and is_comparable(table.schema.field(name).type) for table in (reference, current)
    )


def _answers(rows: pa.Table, model: ModelVersion) -> pa.Table:
    """The rows this version answered; all rows when it answered none of them."""
    if "version" not in rows.column_names:
        return rows
    own = rows.filter(pc.field("version") == model.version)
    return own if own.num_rows else rows


def _prediction_drift(reference: pa.Table, answers: pa.Table, thresholds: Thresholds | None) -> Drift | None:
    if SCORE not in reference.column_names or PREDICTION not in answers.column_names:
        return None
    renamed = reference.select([SCORE]).rename_columns([PREDICTION])
    return drift(renamed, answers, [PREDICTION], thresholds)


def _with_prediction(table: pa.Table, columns: list[str], name: str, prediction: Drift | None) -> pa.Table:
    if prediction is None:
        return table.select(columns)
    return table.select([*columns, name]).rename_columns([*columns, PREDICTION])


def _reference_node(loaded: LoadedModel, model: ModelVersion) -> Node:
    training = loaded.info.get("training")
    return table_node(training) if training else model.node


def _metrics(
    rows: pa.Table, found: Drift, prediction: Drift | None, labelled: pa.Table, model: ModelVersion
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "rows": rows.num_rows,
        "reference_rows": found.reference_rows,
        "columns": len(found.columns),
        "drifted": len(found.drifted),
        "nulls": _mean(column.current_nulls for column in found.columns.values()),
        "reference_nulls": _mean(column.reference_nulls for column in found.columns.values()),
        "baseline_auc": model.metrics.get("auc"),
        **decay(labelled),
    }
    if prediction is not None:
        column = prediction.columns[PREDICTION]
        metrics |= {
            "prediction_score": column.score,
            "prediction_threshold": column.threshold,
            "prediction_drifted": column.drifted,
            "prediction_change": column.change,
        }
    return metrics


def decay(labelled: pa.Table, confidence: float = 0.95) -> dict[str, Any]:
    """AUC of the captured predictions with its interval; ``None`` where labels are missing or of one class."""
    if not labelled.num_rows or PREDICTION not in labelled.column_names:
        return {"labels": 0, "auc": None, "auc_low": None, "auc_high": None, "positive_rate": None}
    scores = labelled[PREDICTION].to_numpy().astype(np.float64)
    labels = labelled["label"].to_numpy()
    if not np.isin(labels, (0, 1)).all():  # a regression: no AUC to speak of
        return {"labels": len(labels), "auc": None, "auc_low": None, "auc_high": None, "positive_rate": None}
    low, high = interval(scores, labels, confidence=confidence)
    return {
        "labels": len(labels),
        "auc": _number(auc(scores, labels)),
        "auc_low": _number(low),
        "auc_high": _number(high),
        "positive_rate": float(labels.mean()),
    }


def trained_until(ws: Workspace, model: ModelVersion) -> datetime | None:
    """Event time of the newest row that a model's fit used, as its `model.json` says; ``None`` when it does not.

    A model that was trained elsewhere and registered may not say; everything labelled then counts as new to it.
    """
    window = open_model(ws, model).info.get("window")
    return datetime.fromisoformat(window[1]) if window else None


def _mean(values: Iterable[float]) -> float:
    found = [*values]
    return sum(found) / len(found) if found else 0.0


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
