"""Model versions."""

from __future__ import annotations

from typing import Any

from .... import registry
from ....core import Workspace
from ....registry import ModelVersion
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .experiments import strings, tag_pairs
from .messages import milliseconds, number

_MOST = 200_000
_PAGE = 1000  # a page, where the client asks for none: MLflow's 200,000 would not fit into memory


def version_message(found: ModelVersion) -> dict[str, Any]:
    """A model version."""
    message: dict[str, Any] = {
        "name": found.name,
        "version": str(found.version),
        "creation_timestamp": milliseconds(found.created_at),
        "last_updated_timestamp": milliseconds(found.updated_at or found.created_at),
        "current_stage": found.stage,
        "description": found.description,
        "source": found.source,
        "run_id": found.run_id or "",
        "status": "READY",
        "run_link": found.run_link,
    }
    if found.logged_model:
        message["model_id"] = found.logged_model
    if found.metrics:
        message["model_metrics"] = [
            {"key": key, "value": number(value), "timestamp": milliseconds(found.created_at), "step": 0}
            for key, value in found.metrics.items()
        ]
    if found.tags:
        message["tags"] = [{"key": key, "value": value} for key, value in found.tags.items()]
    if found.aliases:
        message["aliases"] = list(found.aliases)
    return message


def version_number(text: str) -> int:
    """The number of a version.

    Raises:
        DataError: The text is none.
    """
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise invalid_parameter(f"Invalid value {text!r:.100} for parameter 'version' supplied: use a whole number")
    return int(text)


def _one(ws: Workspace, message: Message) -> ModelVersion:
    return registry.model_version(ws, registry.model_reference(message["name"], version_number(message["version"])))


def _create(ws: Workspace, message: Message) -> Message:
    found = registry.register_source(
        ws,
        message["name"],
        message["source"],
        run_id=message.get("run_id", ""),
        logged_model_id=message.get("model_id", ""),
        description=message.get("description", ""),
        tags=dict(tag_pairs(message.get("tags", []))),
        run_link=message.get("run_link", ""),
    )
    return {"model_version": version_message(found)}


def _get(ws: Workspace, message: Message) -> Message:
    return {"model_version": version_message(_one(ws, message))}


def _update(ws: Workspace, message: Message) -> Message:
    found = _one(ws, message)
    registry.describe_model(ws, found.name, message.get("description", ""), version=found.version)
    return _get(ws, message)


def _transition(ws: Workspace, message: Message) -> Message:
    found = registry.move_stage(
        ws,
        message["name"],
        version_number(message["version"]),
        message["stage"],
        archive_existing=message.get("archive_existing_versions", False),
    )
    return {"model_version": version_message(found)}


def _delete(ws: Workspace, message: Message) -> Message:
    registry.delete_version(ws, message["name"], version_number(message["version"]))
    return {}


def _search(ws: Workspace, message: Message) -> Message:
    size = int(message.get("max_results", _PAGE))
    if not 1 <= size <= _MOST:
        raise invalid_parameter(f"Invalid value {size} for parameter 'max_results' supplied: use 1 to {_MOST}")
    found, token = registry.search_versions(
        ws,
        message.get("filter", ""),
        order_by=strings(message.get("order_by", []), "order_by"),
        limit=size,
        page=message.get("page_token", ""),
    )
    answer: dict[str, Any] = {}
    if found:
        answer["model_versions"] = [version_message(version) for version in found]
    if token:
        answer["next_page_token"] = token
    return answer


def _download_uri(ws: Workspace, message: Message) -> Message:
    return {"artifact_uri": f"mlflow-artifacts:/sha256/{_one(ws, message).artifact}"}


def _set_tag(ws: Workspace, message: Message) -> Message:
    tags = {message["key"]: message.get("value", "")}
    registry.tag_model(ws, message["name"], tags, version=version_number(message["version"]))
    return {}


def _delete_tag(ws: Workspace, message: Message) -> Message:
    registry.untag_model(ws, message["name"], message["key"], version=version_number(message["version"]))
    return {}


_ONE = (Field("name", required=True), Field("version", required=True))
_ROOT = "/2.0/mlflow/model-versions"
_NEW = (
    Field("name", required=True),
    Field("source", required=True),
    Field("run_id"),
    Field("tags", "array"),
    Field("run_link"),
    Field("description"),
    Field("model_id"),
)
_QUERY = (Field("filter"), Field("max_results", "integer"), Field("order_by", "array"), Field("page_token"))
_STAGE = (*_ONE, Field("stage", required=True), Field("archive_existing_versions", "boolean"))
_KEY = Field("key", required=True)
VERSIONS: tuple[Endpoint, ...] = (
    Endpoint("POST", f"{_ROOT}/create", _create, _NEW),
    Endpoint("GET", f"{_ROOT}/get", _get, _ONE),
    Endpoint("PATCH", f"{_ROOT}/update", _update, (*_ONE, Field("description"))),
    Endpoint("POST", f"{_ROOT}/transition-stage", _transition, _STAGE),
    Endpoint("DELETE", f"{_ROOT}/delete", _delete, _ONE),
    Endpoint("GET", f"{_ROOT}/search", _search, _QUERY),
    Endpoint("GET", f"{_ROOT}/get-download-uri", _download_uri, _ONE),
    Endpoint("POST", f"{_ROOT}/set-tag", _set_tag, (*_ONE, _KEY, Field("value"))),
    Endpoint("DELETE", f"{_ROOT}/delete-tag", _delete_tag, (*_ONE, _KEY)),
)
