"""Registered models, and their labels and aliases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .... import registry
from ....core import DataError, NotFound, Workspace
from ....registry import Model, ModelVersion
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .experiments import strings, tag_pairs
from .messages import milliseconds
from .versions import version_message, version_number

_NAME = Field("name", required=True)
_KEY = Field("key", required=True)
_MOST = 1000


def model_message(found: Model, newest: list[ModelVersion]) -> dict[str, Any]:
    """A registered model."""
    message: dict[str, Any] = {
        "name": found.name,
        "creation_timestamp": milliseconds(found.created_at),
        "last_updated_timestamp": milliseconds(found.updated_at or found.created_at),
        "description": found.description,
    }
    if newest:
        # Here MLflow names aliases at the model only.
        message["latest_versions"] = [version_message(replace(version, aliases=())) for version in newest]
    if found.tags:
        message["tags"] = [{"key": key, "value": value} for key, value in found.tags.items()]
    if found.aliases:
        pairs = found.aliases.items()
        message["aliases"] = [{"alias": alias, "version": str(version)} for alias, version in pairs]
    return message


def page_size(message: Message, default: int, most: int) -> int:
    """How many a page of a search shall hold.

    Raises:
        DataError: Less than 1, or more than the protocol allows.
    """
    size = int(message.get("max_results", default))
    if not 1 <= size <= most:
        raise invalid_parameter(f"Invalid value {size} for parameter 'max_results' supplied: use 1 to {most}")
    return size


def _full(ws: Workspace, found: Model) -> dict[str, Any]:
    return {"registered_model": model_message(found, registry.latest_versions(ws, found.name))}


def _create(ws: Workspace, message: Message) -> Message:
    tags = dict(tag_pairs(message.get("tags", [])))
    found = registry.create_model(ws, message["name"], description=message.get("description", ""), tags=tags)
    return {"registered_model": model_message(found, [])}


def _get(ws: Workspace, message: Message) -> Message:
    return _full(ws, registry.model(ws, message["name"]))


def _update(ws: Workspace, message: Message) -> Message:
    registry.describe_model(ws, message["name"], message.get("description", ""))
    return _full(ws, registry.model(ws, message["name"]))


def _rename(ws: Workspace, message: Message) -> Message:
    return _full(ws, registry.rename_model(ws, message["name"], message["new_name"]))


def _delete(ws: Workspace, message: Message) -> Message:
    registry.delete_model(ws, message["name"])
    return {}


def _search(ws: Workspace, message: Message) -> Message:
    found, token = registry.search_models(
        ws,
        message.get("filter", ""),
        order_by=strings(message.get("order_by", []), "order_by"),
        limit=page_size(message, 100, _MOST),
        page=message.get("page_token", ""),
    )
    newest = registry.latest_versions_of(ws, [model.name for model in found])
    answer: dict[str, Any] = {}
    if found:
        answer["registered_models"] = [model_message(model, newest.get(model.name, [])) for model in found]
    if token:
        answer["next_page_token"] = token
    return answer


def _latest(ws: Workspace, message: Message) -> Message:
    found = registry.latest_versions(ws, message["name"], strings(message.get("stages", []), "stages"))
    return {"model_versions": [version_message(version) for version in found]}


def _set_tag(ws: Workspace, message: Message) -> Message:
    registry.tag_model(ws, message["name"], {message["key"]: message.get("value", "")})
    return {}


def _delete_tag(ws: Workspace, message: Message) -> Message:
    registry.untag_model(ws, message["name"], message["key"])
    return {}


def _set_alias(ws: Workspace, message: Message) -> Message:
    registry.set_alias(ws, message["name"], message["alias"], version_number(message["version"]))
    return {}


def _delete_alias(ws: Workspace, message: Message) -> Message:
    registry.drop_alias(ws, message["name"], message["alias"])
    return {}


def _by_alias(ws: Workspace, message: Message) -> Message:
    name, alias = message["name"], message["alias"]
    registry.model(ws, name)
    ref = name if alias.lower() == "latest" else f"{name}@{alias}"
    try:
        return {"model_version": version_message(registry.model_version(ws, ref))}
    except NotFound as error:
        # MLflow answers 400 here, and its clients look at that.
        raise DataError(f"Registered model alias {alias} not found. {error}") from error


_ALIAS = Field("alias", required=True)
_PAGE = (
    Field("filter"),
    Field("max_results", "integer"),
    Field("order_by", "array"),
    Field("page_token"),
)
_ROOT = "/2.0/mlflow/registered-models"
MODELS: tuple[Endpoint, ...] = (
    Endpoint("POST", f"{_ROOT}/create", _create, (_NAME, Field("tags", "array"), Field("description"))),
    Endpoint("GET", f"{_ROOT}/get", _get, (_NAME,)),
    Endpoint("PATCH", f"{_ROOT}/update", _update, (_NAME, Field("description"))),
    Endpoint("POST", f"{_ROOT}/rename", _rename, (_NAME, Field("new_name", required=True))),
    Endpoint("DELETE", f"{_ROOT}/delete", _delete, (_NAME,)),
    Endpoint("GET", f"{_ROOT}/search", _search, _PAGE),
    Endpoint("POST", f"{_ROOT}/get-latest-versions", _latest, (_NAME, Field("stages", "array"))),
    Endpoint("GET", f"{_ROOT}/get-latest-versions", _latest, (_NAME, Field("stages", "array"))),
    Endpoint("POST", f"{_ROOT}/set-tag", _set_tag, (_NAME, _KEY, Field("value"))),
    Endpoint("DELETE", f"{_ROOT}/delete-tag", _delete_tag, (_NAME, _KEY)),
    Endpoint("POST", f"{_ROOT}/alias", _set_alias, (_NAME, _ALIAS, Field("version", required=True))),
    Endpoint("DELETE", f"{_ROOT}/alias", _delete_alias, (_NAME, _ALIAS)),
    Endpoint("GET", f"{_ROOT}/alias", _by_alias, (_NAME, _ALIAS)),
)
