"""Metrics that name a logged model: they belong to the run and to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from ....core import Workspace
from ....registry import LoggedMetric, log_model_metrics
from .fields import typed


async def measure_models(ws: Workspace, run_id: str, metrics: Iterable[Any]) -> None:
    """Record at each logged model what was measured of it; metrics that name none cost one look-up each.

    Raises:
        NotFound: A model is unknown; nothing is recorded for it.
        DataError: A field has another type than the protocol says.
    """
    found: dict[str, list[LoggedMetric]] = {}
    for metric in metrics:
        if isinstance(metric, dict) and metric.get("model_id"):
            found.setdefault(typed("string", "model_id", metric["model_id"]), []).append(_metric(metric, run_id))
    for model_id, values in found.items():
        await run_in_threadpool(log_model_metrics, ws, model_id, values)


def _metric(metric: Mapping[str, Any], run_id: str) -> LoggedMetric:
    return LoggedMetric(
        key=typed("string", "key", metric.get("key", "")),
        value=typed("number", "value", metric.get("value", 0.0)),
        step=typed("integer", "step", metric.get("step") or 0),
        timestamp=typed("integer", "timestamp", metric.get("timestamp") or 0),
        run_id=run_id,
        dataset=typed("string", "dataset_name", metric.get("dataset_name") or ""),
        dataset_digest=typed("string", "dataset_digest", metric.get("dataset_digest") or ""),
    )
