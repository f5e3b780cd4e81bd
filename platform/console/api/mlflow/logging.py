"""Logging to runs: everything goes through the registry's queue, so that requests of one moment share a commit.

The answer is sent when the transaction that holds what was logged has been committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from ....core import RaylakeError, Workspace
from ....registry import tracking
from ....registry.tracking.entries import Entry, Point, cleaned
from ....registry.tracking.ingest import ingest_of
from ....registry.tracking.labels import Label
from ....registry.tracking.metrics import append_to_tag
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .fields import invalid_value, typed
from .limits import LAST_MOMENT, PARAM_VALUE, TAG_VALUE, check_batch, check_key, check_run_id
from .measured import measure_models, measured_models
from .runs import RUN_ID

_LONG = 2**63
_MODELS_TAG = "mlflow.log-model.history"
_MODEL_KEPT = ("run_id", "artifact_path", "utc_time_created", "model_uuid")
_MODEL_FIELDS = ("artifact_path", "flavors", "utc_time_created", "run_id")


async def _log_metric(ws: Workspace, message: Message) -> Message:
    point = _quick(message) or _point(message, "")
    measured = await measured_models(ws, message["run_id"], (message,))
    await committed(ws, Entry(message["run_id"], points=[point]))
    await measure_models(ws, measured)
    return {}


async def _log_param(ws: Workspace, message: Message) -> Message:
    await committed(ws, Entry(message["run_id"], params=[_param(message["key"], message.get("value", ""), "key")]))
    return {}


async def _set_tag(ws: Workspace, message: Message) -> Message:
    await committed(ws, Entry(message["run_id"], tags=[_tag(message["key"], message.get("value", ""), "")]))
    return {}


def _delete_tag(ws: Workspace, message: Message) -> Message:
    tracking.delete_tag(ws, message["run_id"], message["key"])
    return {}


async def _log_batch(ws: Workspace, message: Message) -> Message:
    metrics, params, tags = (message.get(name, []) for name in ("metrics", "params", "tags"))
    check_run_id(message["run_id"])
    points = [
        _quick(metric) or _point(_object(metric, f"metrics[{i}]"), f"metrics[{i}].") for i, metric in enumerate(metrics)
    ]
    packed = [_param(*_pair(param, f"params[{i}]"), f"params[{i}].key") for i, param in enumerate(params)]
    labels = [_tag(*_pair(tag, f"tags[{i}]"), f"tags[{i}].") for i, tag in enumerate(tags)]
    check_batch({"metrics": len(metrics), "params": len(params), "tags": len(tags)})
    _check_unique([key for key, _, _ in packed])
    measured = await measured_models(ws, message["run_id"], metrics)
    await committed(ws, Entry(message["run_id"], points=points, params=packed, tags=labels))
    await measure_models(ws, measured)
    return {}


def _log_model(ws: Workspace, message: Message) -> Message:
    append_to_tag(ws, message["run_id"], _MODELS_TAG, _model(message["model_json"]))
    return {}


async def committed(ws: Workspace, entry: Entry) -> None:
    """Wait until the entry has been committed.

    Raises:
        RaylakeError: What refused it.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[RaylakeError | None] = loop.create_future()

    def done(outcome: RaylakeError | None) -> None:
        loop.call_soon_threadsafe(_answer, answered, outcome)

    queue = ingest_of(ws)
    if not queue.submit(entry, done, wait=False):  # full: this request waits, the loop goes on
        await run_in_threadpool(queue.submit, entry, done)
    refused = await answered
    if refused is not None:
        raise refused


def _answer(answered: asyncio.Future[RaylakeError | None], outcome: RaylakeError | None) -> None:
    if not answered.done():  # the client may have gone
        answered.set_result(outcome)


def _quick(metric: Any) -> Point | None:
    """A measurement whose fields have just the types that clients send; anything else is looked at by `_point`."""
    try:
        key, value, at, step = metric["key"], metric["value"], metric["timestamp"], metric.get("step", 0)
    except (KeyError, TypeError, AttributeError):
        return None
    exact = type(key) is str and type(value) is float and type(at) is type(step) is int
    if not exact or not key or not 0 <= at <= LAST_MOMENT or not -_LONG <= step < _LONG:
        return None
    return cleaned(check_key(key, "name")), step, at * 1000, value


def _point(metric: Mapping[str, Any], path: str) -> Point:
    for name in ("key", "value", "timestamp"):
        if metric.get(name) is None or metric[name] == "":
            raise invalid_parameter(f"Missing value for required parameter '{path}{name}'.")
    key = check_key(typed("string", f"{path}key", metric["key"]), f"{path}name")
    at = typed("integer", f"{path}timestamp", metric["timestamp"])
    step = typed("integer", f"{path}step", metric.get("step") or 0)
    if not 0 <= at <= LAST_MOMENT:
        raise invalid_value(f"{path}timestamp", at, f"metric '{key}': milliseconds since 1970, up to the year 9999")
    return cleaned(key), step, at * 1000, typed("number", f"{path}value", metric["value"])


# Longer texts are cut, as MLflow's server does by default: no run fails for a long parameter.
def _param(key: str, value: str, path: str) -> Label:
    check_key(key, path)
    return cleaned(key), cleaned(value[:PARAM_VALUE]), False


def _tag(key: str, value: str, path: str) -> Label:
    check_key(key, f"{path}key")
    return cleaned(key), cleaned(value[:TAG_VALUE]), False


def _pair(found: Any, path: str) -> tuple[str, str]:
    pair = _object(found, path)
    if not pair.get("key"):
        raise invalid_parameter(f"Missing value for required parameter '{path}.key'.")
    value = pair.get("value")
    return typed("string", f"{path}.key", pair["key"]), typed("string", f"{path}.value", "" if value is None else value)


def _object(found: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise invalid_value(path, found)
    return found


def _check_unique(keys: Sequence[str]) -> None:
    if len(set(keys)) < len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise invalid_parameter(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one "
            "param value per param key."
        )


def _model(text: str) -> dict[str, Any]:
    try:
        model = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid_parameter(f"Malformed model info. \n {text:.500} \n is not a valid JSON.") from error
    missing = {*_MODEL_FIELDS} - {*_object(model, "model_json")}
    if missing or not isinstance(model["flavors"], dict):
        raise invalid_parameter(f"Model json is missing mandatory fields: {missing}")
    kept = {name: model[name] for name in _MODEL_KEPT if name in model}
    return {**kept, "flavors": {name: _without_config(flavor) for name, flavor in dict(model["flavors"]).items()}}


def _without_config(flavor: Any) -> Any:
    return {k: v for k, v in flavor.items() if k != "config"} if isinstance(flavor, dict) else flavor


_BASE = "/2.0/mlflow/runs"
_KEY, _VALUE = Field("key", required=True), Field("value")
LOGGING = (
    Endpoint(
        "POST",
        f"{_BASE}/log-metric",
        _log_metric,
        (
            RUN_ID,
            _KEY,
            Field("value", "number", required=True),
            Field("timestamp", "integer", required=True),
            Field("step", "integer"),
            Field("model_id"),
            Field("dataset_name"),
            Field("dataset_digest"),
        ),
    ),
    Endpoint("POST", f"{_BASE}/log-parameter", _log_param, (RUN_ID, _KEY, _VALUE)),
    Endpoint("POST", f"{_BASE}/set-tag", _set_tag, (RUN_ID, _KEY, _VALUE)),
    Endpoint("POST", f"{_BASE}/delete-tag", _delete_tag, (RUN_ID, _KEY)),
    Endpoint(
        "POST",
        f"{_BASE}/log-batch",
        _log_batch,
        (RUN_ID, Field("metrics", "array"), Field("params", "array"), Field("tags", "array")),
    ),
    Endpoint("POST", f"{_BASE}/log-model", _log_model, (RUN_ID, Field("model_json", required=True))),
)
