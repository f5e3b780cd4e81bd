"""Logged models, and listing the files of runs and logged models."""

from __future__ import annotations

from typing import Any

from .... import registry
from ....core import Workspace
from ....registry import LoggedModel
from .artifacts import file_info
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .experiments import strings, tag_pairs
from .messages import milliseconds, number

_STATUS = {"pending": "LOGGED_MODEL_PENDING", "ready": "LOGGED_MODEL_READY", "failed": "LOGGED_MODEL_UPLOAD_FAILED"}
_OURS: dict[Any, str] = {**{theirs: ours for ours, theirs in _STATUS.items()}, 1: "pending", 2: "ready", 3: "failed"}
_MOST = 1000


def logged_model_message(found: LoggedModel) -> dict[str, Any]:
    """A logged model."""
    info: dict[str, Any] = {
        "model_id": found.id,
        "experiment_id": found.experiment_id,
        "name": found.name,
        "creation_timestamp_ms": milliseconds(found.created_at),
        "last_updated_timestamp_ms": milliseconds(found.updated_at),
        "artifact_uri": found.artifact_uri,
        "status": _STATUS[found.status],
        "model_type": found.model_type,
        "source_run_id": found.run_id,
        "tags": _pairs(found.tags),
    }
    metrics = [
        {
            "key": metric.key,
            "value": number(metric.value),
            "timestamp": metric.timestamp,
            "step": metric.step,
            "dataset_name": metric.dataset,
            "dataset_digest": metric.dataset_digest,
            "model_id": found.id,
            "run_id": metric.run_id,
        }
        for metric in found.metrics
    ]
    return {"info": info, "data": {"params": _pairs(found.params), "metrics": metrics}}


def _pairs(items: Any) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in items.items()]


def _create(ws: Workspace, message: Message) -> Message:
    found = registry.create_logged_model(
        ws,
        message["experiment_id"],
        name=message.get("name", ""),
        model_type=message.get("model_type", ""),
        run_id=message.get("source_run_id", ""),
        tags=dict(tag_pairs(message.get("tags", []))),
        params=dict(tag_pairs(message.get("params", []), "params")),
    )
    return {"model": logged_model_message(found)}


def _get(ws: Workspace, message: Message) -> Message:
    found = registry.logged_model(ws, message["model_id"], deleted=message.get("allow_deleted", False))
    return {"model": logged_model_message(found)}


def _finalise(ws: Workspace, message: Message) -> Message:
    status = message["status"]
    if status not in _OURS:
        raise invalid_parameter(f"Invalid model status {status!r:.100}: use one of {', '.join(_STATUS.values())}")
    return {"model": logged_model_message(registry.finish_logged_model(ws, message["model_id"], _OURS[status]))}


def _delete(ws: Workspace, message: Message) -> Message:
    registry.delete_logged_model(ws, message["model_id"])
    return {}


def _search(ws: Workspace, message: Message) -> Message:
    size = int(message.get("max_results", 50))
    if not 1 <= size <= _MOST:
        raise invalid_parameter(f"Invalid value {size} for parameter 'max_results' supplied: use 1 to {_MOST}")
    found, token = registry.search_logged_models(
        ws,
        strings(message.get("experiment_ids", []), "experiment_ids"),
        message.get("filter", ""),
        order_by=[_order(clause) for clause in message.get("order_by", [])],
        datasets=[_dataset(each) for each in message.get("datasets", [])],
        limit=size,
        page=message.get("page_token", ""),
    )
    answer: dict[str, Any] = {"models": [logged_model_message(model) for model in found]}
    if token:
        answer["next_page_token"] = token
    return answer


def _order(clause: Any) -> registry.Order:
    if not isinstance(clause, dict) or not isinstance(clause.get("field_name"), str):
        raise invalid_parameter("Missing value for required parameter 'order_by.field_name'.")
    ascending = bool(clause.get("ascending", True))
    kind, dot, key = clause["field_name"].strip().partition(".")
    if dot and kind == "metrics":
        return registry.Order(
            "metric", key, ascending, dataset=_dataset(clause) if clause.get("dataset_name") else None
        )
    return registry.Order("attribute", key if kind in ("attribute", "attributes") else clause["field_name"], ascending)


def _dataset(found: Any) -> tuple[str, str]:
    if not isinstance(found, dict) or not isinstance(found.get("dataset_name"), str):
        raise invalid_parameter("Missing value for required parameter 'datasets.dataset_name'.")
    return found["dataset_name"], str(found.get("dataset_digest") or "")


def _set_tags(ws: Workspace, message: Message) -> Message:
    tags = dict(tag_pairs(message.get("tags", [])))
    return {"model": logged_model_message(registry.tag_logged_model(ws, message["model_id"], tags))}


def _delete_tag(ws: Workspace, message: Message) -> Message:
    registry.untag_logged_model(ws, message["model_id"], message["tag_key"])
    return {}


def _log_params(ws: Workspace, message: Message) -> Message:
    params = dict(tag_pairs(message.get("params", []), "params"))
    registry.log_model_params(ws, message["model_id"], params)
    return {}


def _list_of_model(ws: Workspace, message: Message) -> Message:
    found = registry.logged_model(ws, message["model_id"])
    return _listed(ws, found.artifact_uri, found.folder, message.get("artifact_directory_path", ""))


def _list_of_run(ws: Workspace, message: Message) -> Message:
    root = registry.run_folder(ws, message["run_id"])
    return _listed(ws, f"mlflow-artifacts:/{root}", root, message.get("path", ""))


def _listed(ws: Workspace, uri: str, root: str, path: str) -> Message:
    inner = registry.check_path(path.rstrip("/")) if path else ""
    entries = registry.list_artifacts(ws, f"{root}/{inner}" if inner else root)
    return {"root_uri": uri, "files": [file_info(entry, entry.path.removeprefix(f"{root}/")) for entry in entries]}


_ID = Field("model_id", required=True)
_ROOT = "/2.0/mlflow/logged-models"
_ONE = f"{_ROOT}/{{model_id}}"
_NEW = (
    Field("experiment_id", required=True),
    Field("name"),
    Field("model_type"),
    Field("source_run_id"),
    Field("params", "array"),
    Field("tags", "array"),
)
_QUERY = (
    Field("experiment_ids", "array"),
    Field("filter"),
    Field("datasets", "array"),
    Field("max_results", "integer"),
    Field("order_by", "array"),
    Field("page_token"),
)
LOGGED_MODELS: tuple[Endpoint, ...] = (
    Endpoint("POST", _ROOT, _create, _NEW),
    Endpoint("POST", f"{_ROOT}/search", _search, _QUERY),
    Endpoint("GET", _ONE, _get, (_ID, Field("allow_deleted", "boolean"))),
    Endpoint("PATCH", _ONE, _finalise, (_ID, Field("status", required=True))),
    Endpoint("DELETE", _ONE, _delete, (_ID,)),
    Endpoint("PATCH", f"{_ONE}/tags", _set_tags, (_ID, Field("tags", "array"))),
    Endpoint("DELETE", f"{_ONE}/tags/{{tag_key:path}}", _delete_tag, (_ID,)),
    Endpoint("POST", f"{_ONE}/params", _log_params, (_ID, Field("params", "array"))),
    Endpoint("GET", f"{_ONE}/artifacts/directories", _list_of_model, (_ID, Field("artifact_directory_path"))),
    Endpoint(
        "GET",
        "/2.0/mlflow/artifacts/list",
        _list_of_run,
        (Field("run_id", required=True, alias="run_uuid"), Field("path")),
    ),
)
