"""Webhooks of the model registry."""

from __future__ import annotations

from typing import Any

from .... import registry
from ....core import Workspace
from ....registry import Webhook
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .messages import milliseconds

_MOST = 1000


def webhook_message(found: Webhook) -> dict[str, Any]:
    """A webhook; its secret is not shown."""
    return {
        "webhook_id": found.id,
        "name": found.name,
        "description": found.description,
        "url": found.url,
        "events": [_event_message(event) for event in found.events],
        "status": found.status.upper(),
        "creation_timestamp": milliseconds(found.created_at),
        "last_updated_timestamp": milliseconds(found.updated_at),
    }


def _event_message(event: str) -> dict[str, str]:
    entity, _, action = event.partition(".")
    return {"entity": entity.upper(), "action": action.upper()}


def _event(found: Any) -> str:
    if not isinstance(found, dict) or not all(isinstance(found.get(part), str) for part in ("entity", "action")):
        raise invalid_parameter(f"Invalid webhook event {found!r:.200}: name its entity and its action")
    return f"{found['entity']}.{found['action']}".lower()


def _create(ws: Workspace, message: Message) -> Message:
    found = registry.create_webhook(
        ws,
        message["name"],
        message["url"],
        [_event(event) for event in message["events"]],
        description=message.get("description", ""),
        secret=message.get("secret", ""),
        status=message.get("status", "ACTIVE").lower(),
    )
    return {"webhook": webhook_message(found)}


def _list(ws: Workspace, message: Message) -> Message:
    size = int(message.get("max_results", 100))
    if not 1 <= size <= _MOST:
        raise invalid_parameter(f"Invalid value {size} for parameter 'max_results' supplied: use 1 to {_MOST}")
    found = registry.webhooks(ws, after=message.get("page_token", ""), limit=size + 1)
    answer: dict[str, Any] = {"webhooks": [webhook_message(each) for each in found[:size]]}
    if len(found) > size:
        answer["next_page_token"] = found[size - 1].id
    return answer


def _get(ws: Workspace, message: Message) -> Message:
    return {"webhook": webhook_message(registry.webhook(ws, message["webhook_id"]))}


def _update(ws: Workspace, message: Message) -> Message:
    status = message.get("status")
    found = registry.update_webhook(
        ws,
        message["webhook_id"],
        name=message.get("name"),
        url=message.get("url"),
        events=[_event(event) for event in message["events"]] if message.get("events") else None,
        description=message.get("description"),
        secret=message.get("secret"),
        status=None if status is None else status.lower(),
    )
    return {"webhook": webhook_message(found)}


def _delete(ws: Workspace, message: Message) -> Message:
    registry.delete_webhook(ws, message["webhook_id"])
    return {}


def _test(ws: Workspace, message: Message) -> Message:
    event = _event(message["event"]) if message.get("event") else ""
    answer = registry.try_webhook(ws, message["webhook_id"], event)
    result: dict[str, Any] = {"success": answer.ok, "response_body": answer.body}
    if answer.status is not None:
        result["response_status"] = answer.status
    if not answer.ok:
        result["error_message"] = answer.error or f"the receiver answered {answer.status}"
    return {"result": result}


def _deliveries(ws: Workspace, message: Message) -> Message:
    found = registry.deliveries(ws, message["webhook_id"])
    return {
        "deliveries": [
            {
                "delivery_id": each.id,
                **_event_message(each.event),
                "data": dict(each.payload),
                "status": each.status.upper(),
                "attempts": each.attempts,
                "response_status": each.response_status,
                "error_message": each.error,
                "creation_timestamp": milliseconds(each.created_at),
            }
            for each in found
        ]
    }


_ID = Field("webhook_id", required=True)
_ROOT = "/2.0/mlflow/webhooks"
_ONE = f"{_ROOT}/{{webhook_id}}"
_GIVEN = (Field("description"), Field("secret"), Field("status"))
_NEW = (Field("name", required=True), Field("url", required=True), Field("events", "array", required=True), *_GIVEN)
WEBHOOKS: tuple[Endpoint, ...] = (
    Endpoint("POST", _ROOT, _create, _NEW),
    Endpoint("GET", _ROOT, _list, (Field("max_results", "integer"), Field("page_token"))),
    Endpoint("GET", _ONE, _get, (_ID,)),
    Endpoint("PATCH", _ONE, _update, (_ID, Field("name"), Field("url"), Field("events", "array"), *_GIVEN)),
    Endpoint("DELETE", _ONE, _delete, (_ID,)),
    Endpoint("POST", f"{_ONE}/test", _test, (_ID, Field("event", "object"))),
    Endpoint("GET", f"{_ONE}/deliveries", _deliveries, (_ID,)),
)
