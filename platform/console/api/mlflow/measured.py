"""Metrics that name a logged model: they belong to the run and to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from ....core import Workspace
from ....registry import LoggedMetric, log_model_metrics, logged_model
from .errors import invalid_parameter
from .fields import typed

Measured = Mapping[str, list[LoggedMetric]]


async def measured_models(ws: Workspace, run_id: str, metrics: Iterable[Any]) -> Measured:
    """What was measured of each logged model; asked before anything is recorded, so that a refusal leaves no half.

    Raises:
        NotFound: A model is unknown.
        DataError: A field has another type than the protocol says, or a digest comes without its data set.
    """
    found: dict[str, list[LoggedMetric]] = {}
    for metric in metrics:
        if isinstance(metric, dict) and metric.get("model_id"):
            found.setdefault(typed("string", "model_id", metric["model_id"]), []).append(_metric(metric, run_id))
    for model_id in found:
        await run_in_threadpool(logged_model, ws, model_id)
    return found


async def measure_models(ws: Workspace, measured: Measured) -> None:
    """Record at each logged model what was measured of it."""
    for model_id, values in measured.items():
        await run_in_threadpool(log_model_metrics, ws, model_id, values)


def _metric(metric: Mapping[str, Any], run_id: str) -> LoggedMetric:
    dataset = typed("string", "dataset_name", metric.get("dataset_name") or "")
    digest = typed("string", "dataset_digest", metric.get("dataset_digest") or "")
    if digest and not dataset:
        raise invalid_parameter("Missing value for required parameter 'dataset_name': a digest belongs to a data set")
    return LoggedMetric(
        key=typed("string", "key", metric.get("key", "")),
        value=typed("number", "value", metric.get("value", 0.0)),
        step=typed("integer", "step", metric.get("step") or 0),
        timestamp=typed("integer", "timestamp", metric.get("timestamp") or 0),
        run_id=run_id,
        dataset=dataset,
        dataset_digest=digest,
    )
