"""Experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....core import Workspace
from ....registry import tracking
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .fields import invalid_value
from .limits import EXPERIMENT_NAME, EXPERIMENT_TAG_VALUE, KEY, LOCATION, check_key, check_length
from .messages import experiment_id, experiment_message

_ID = Field("experiment_id", required=True)
_LIFECYCLES = {1: "active", 2: "deleted", 3: None, "ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": None}


def lifecycle_of(view_type: Any) -> str | None:
    """The lifecycle that a view of the protocol (its name or number) shows; ``None``: both.

    Raises:
        DataError: There is no such view.
    """
    known: Mapping[Any, str | None] = _LIFECYCLES
    key = int(view_type) if isinstance(view_type, str) and view_type.isdecimal() else view_type
    if key not in known:
        raise invalid_parameter(f"Invalid view type {view_type!r}: use ACTIVE_ONLY, DELETED_ONLY or ALL")
    return known[key]


def tag_pairs(tags: list[Any], path: str = "tags") -> list[tuple[str, str]]:
    """Key and value of each tag of a message.

    Raises:
        DataError: One has no key, or is no object.
    """
    found = []
    for index, tag in enumerate(tags):
        if not isinstance(tag, dict) or not tag.get("key"):
            raise invalid_parameter(f"Missing value for required parameter '{path}[{index}].key'.")
        value = tag.get("value")
        found.append((str(tag["key"]), "" if value is None else str(value)))
    return found


def strings(found: list[Any], name: str) -> list[str]:
    """`found` when all of it are texts.

    Raises:
        DataError: It is not.
    """
    for value in found:
        if not isinstance(value, str):
            raise invalid_value(name, found)
    return found


def page_of(name: str, items: list[dict[str, Any]], token: str) -> dict[str, Any]:
    """A page of a search as a message; empty parts are left out."""
    return {**({name: items} if items else {}), **({"next_page_token": token} if token else {})}


def _create(ws: Workspace, message: Message) -> Message:
    name = check_length("name", message["name"], EXPERIMENT_NAME)
    where = check_length("artifact_location", message.get("artifact_location", ""), LOCATION)
    tags = dict(_experiment_tag(*pair) for pair in tag_pairs(message.get("tags", [])))
    made = tracking.create_experiment(ws, name, artifact_location=where or None, tags=tags)
    return {"experiment_id": str(made.id)}


def _get(ws: Workspace, message: Message) -> Message:
    found = tracking.experiment(ws, experiment_id(message["experiment_id"]))
    return {"experiment": experiment_message(ws, found)}


def _get_by_name(ws: Workspace, message: Message) -> Message:
    return {"experiment": experiment_message(ws, tracking.experiment(ws, str(message["experiment_name"])))}


def _search(ws: Workspace, message: Message) -> Message:
    found = tracking.search_experiments(
        ws,
        message.get("filter", ""),
        order_by=strings(message.get("order_by", []), "order_by"),
        lifecycle=lifecycle_of(message.get("view_type", 1)),
        limit=message.get("max_results", 0),
        page_token=message.get("page_token", ""),
    )
    return page_of("experiments", [experiment_message(ws, each) for each in found.items], found.token)


def _update(ws: Workspace, message: Message) -> Message:
    name = check_length("name", message["new_name"], EXPERIMENT_NAME)
    tracking.rename_experiment(ws, experiment_id(message["experiment_id"]), name)
    return {}


def _delete(ws: Workspace, message: Message) -> Message:
    tracking.delete_experiment(ws, experiment_id(message["experiment_id"]))
    return {}


def _restore(ws: Workspace, message: Message) -> Message:
    tracking.restore_experiment(ws, experiment_id(message["experiment_id"]))
    return {}


def _set_tag(ws: Workspace, message: Message) -> Message:
    tag = _experiment_tag(message["key"], message.get("value", ""))
    tracking.set_experiment_tags(ws, experiment_id(message["experiment_id"]), dict([tag]))
    return {}


def _delete_tag(ws: Workspace, message: Message) -> Message:
    tracking.delete_experiment_tag(ws, experiment_id(message["experiment_id"]), message["key"])
    return {}


def _experiment_tag(key: str, value: str) -> tuple[str, str]:
    check_length("key", check_key(key, "key"), KEY)
    return key, check_length("value", value, EXPERIMENT_TAG_VALUE)


_BASE = "/2.0/mlflow/experiments"
_SEARCH = (
    Field("max_results", "integer"),
    Field("page_token"),
    Field("filter"),
    Field("order_by", "array"),
)
EXPERIMENTS = (
    Endpoint(
        "POST",
        f"{_BASE}/create",
        _create,
        (Field("name", required=True), Field("artifact_location"), Field("tags", "array")),
    ),
    Endpoint("GET", f"{_BASE}/get", _get, (_ID,)),
    Endpoint("GET", f"{_BASE}/get-by-name", _get_by_name, (Field("experiment_name", required=True),)),
    Endpoint("POST", f"{_BASE}/search", _search, _SEARCH),
    Endpoint("GET", f"{_BASE}/search", _search, _SEARCH),
    Endpoint("POST", f"{_BASE}/update", _update, (_ID, Field("new_name", required=True))),
    Endpoint("POST", f"{_BASE}/delete", _delete, (_ID,)),
    Endpoint("POST", f"{_BASE}/restore", _restore, (_ID,)),
    Endpoint("POST", f"{_BASE}/set-experiment-tag", _set_tag, (_ID, Field("key", required=True), Field("value"))),
    Endpoint("POST", f"{_BASE}/delete-experiment-tag", _delete_tag, (_ID, Field("key", required=True))),
)
