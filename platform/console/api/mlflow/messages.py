"""Records as the messages of MLflow's protocol, and the texts of it that name them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ....core import DataError, Workspace
from ....registry.tracking import Dataset, Experiment, Measurement, RunView
from ....registry.tracking.entries import NAME_TAG, PARENT_TAG
from .errors import invalid_parameter
from .fields import invalid_value
from .limits import LAST_MOMENT

CONTEXT_TAG = "mlflow.data.context"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_STATUS = {
    "scheduled": "SCHEDULED",
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
}
_NUMBERED = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "stopped"}
_OURS: dict[Any, str] = {**{theirs: ours for ours, theirs in _STATUS.items()}, **_NUMBERED}


def experiment_id(text: str) -> int:
    """The number of an experiment.

    Raises:
        DataError: The text is no number.
    """
    try:
        return int(text or 0)
    except ValueError:
        raise DataError(f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer.") from None


def moment(milliseconds: int, name: str) -> datetime:
    """Milliseconds since 1970 as a time.

    Raises:
        DataError: It lies before 1970 or after the year 9999.
    """
    if not 0 <= milliseconds <= LAST_MOMENT:
        raise invalid_value(name, milliseconds, "milliseconds since 1970, up to the year 9999")
    return _EPOCH + timedelta(milliseconds=milliseconds)


def milliseconds(at: datetime) -> int:
    """A time as milliseconds since 1970.

    Example:
        >>> milliseconds(datetime(1970, 1, 1, 0, 0, 1, 999, tzinfo=UTC))
        1000
    """
    return (at - _EPOCH) // _MILLISECOND


def our_status(status: Any) -> str:
    """A status of the protocol (its name or number) in our words.

    Raises:
        DataError: There is no such status.
    """
    found = _OURS.get(status)
    if found is None:
        raise invalid_parameter(f"Invalid run status {status!r}: use one of {', '.join(_STATUS.values())}")
    return found


def number(value: float) -> float | str:
    """A float as protobuf's JSON writes it.

    Example:
        >>> number(0.5), number(math.nan), number(-math.inf)
        (0.5, 'NaN', '-Infinity')
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def experiment_message(ws: Workspace, found: Experiment) -> dict[str, Any]:
    """An experiment."""
    message: dict[str, Any] = {
        "experiment_id": str(found.id),
        "name": found.name,
        "artifact_location": found.artifact_location,
        "lifecycle_stage": found.lifecycle,
        "last_update_time": milliseconds(found.updated_at),
        "creation_time": milliseconds(found.created_at),
        "workspace": ws.name,
    }
    if found.tags:
        message["tags"] = _pairs(found.tags.items())
    return message


def run_info(view: RunView) -> dict[str, Any]:
    """What is known of a run besides its data."""
    info = {
        "run_uuid": view.id,
        "run_id": view.id,
        "run_name": view.name,
        "experiment_id": str(view.experiment_id),
        "user_id": view.user_id,
        "status": _STATUS[view.status],
        "start_time": milliseconds(view.created_at),
        "artifact_uri": view.artifact_uri,
        "lifecycle_stage": view.lifecycle,
    }
    if view.ended_at is not None:
        info["end_time"] = milliseconds(view.ended_at)
    return info


def run_message(view: RunView) -> dict[str, Any]:
    """A run with its data, inputs and outputs."""
    tags = [(key, text) for key, (text, _) in view.tags.items()]
    tags.append((NAME_TAG, view.name))
    if view.parent is not None:
        tags.append((PARENT_TAG, view.parent))
    data: dict[str, Any] = {"tags": _pairs(tags)}
    if view.metrics:
        data["metrics"] = [metric_message(each) for each in view.metrics]
    if view.params:
        data["params"] = _pairs((key, text) for key, (text, _) in view.params.items())
    read = [{"model_id": link.model_id} for link in view.models if link.role == "input"]
    wrote = [{"model_id": link.model_id, "step": link.step} for link in view.models if link.role == "output"]
    inputs: dict[str, Any] = {}
    if view.datasets:
        inputs["dataset_inputs"] = [_dataset_message(each) for each in view.datasets]
    if read:
        inputs["model_inputs"] = read
    outputs = {"model_outputs": wrote} if wrote else {}
    return {"info": run_info(view), "data": data, "inputs": inputs, "outputs": outputs}


def metric_message(metric: Measurement) -> dict[str, Any]:
    """A measurement."""
    return {
        "key": metric.key,
        "value": number(metric.value),
        "timestamp": metric.logged_at // 1000,
        "step": metric.step,
    }


def _dataset_message(dataset: Dataset) -> dict[str, Any]:
    described = {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "schema": dataset.schema,
        "profile": dataset.profile,
    }
    tags: Mapping[str, str] = dict(dataset.tags)
    if dataset.context is not None:
        tags = {CONTEXT_TAG: dataset.context, **tags}
    message: dict[str, Any] = {"dataset": {name: value for name, value in described.items() if value is not None}}
    if tags:
        message["tags"] = _pairs(tags.items())
    return message


def _pairs(items: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in items]
