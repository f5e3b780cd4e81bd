"""Sending what the registry has written for webhooks: signed, at least once, retried with growing pauses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
from sqlmodel import Session, col, select

from ..core import ConfigError, Workspace
from ..core.outbound import Allowed, Answer, post
from .engine import now, reading, writing
from .schema import WebhookDeliveryRow, WebhookRow
from .secrets import is_sealed, seal, unseal
from .webhooks import check_event

MOST_ATTEMPTS = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
LEASE = 120.0  # seconds after which a message that was taken by a process that died is sent again
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_BATCH = 20
_LONGEST_ERROR = 1000


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message that this process has taken, and where it goes."""

    seq: int
    id: str
    event: str
    payload: Mapping[str, Any]
    attempts: int
    url: str
    secret: str


def deliver_due(ws: Workspace, *, limit: int = _BATCH) -> int:
    """Send the messages whose time has come and return their number. Several processes may do so at once.

    A message whose receiver answers 2xx is delivered. Another answer or none is tried again, 5 times altogether,
    after about 1, 2, 4 and 8 seconds; an answer that will not change (most 4xx, a redirect) or a refused address
    is not.

    Example:
        >>> import tempfile
        >>> deliver_due(Workspace.open(tempfile.mkdtemp()))
        0
    """
    taken = _take(ws, limit)
    allowed = Allowed.parse(ws.outbound_allow)
    for message in taken:
        answer = _send(message, allowed)
        with writing(ws) as session:
            _settle(session, message, answer)
    return len(taken)


def seconds_until_due(ws: Workspace) -> float | None:
    """How long until a message may be sent; ``None`` when there is none.

    Example:
        >>> import tempfile
        >>> seconds_until_due(Workspace.open(tempfile.mkdtemp())) is None
        True
    """
    query = select(WebhookDeliveryRow.due_at).where(WebhookDeliveryRow.status == "pending")
    with reading(ws) as session:
        due = session.exec(query.order_by(col(WebhookDeliveryRow.due_at)).limit(1)).first()
    return None if due is None else max((due - now()).total_seconds(), 0.0)


def try_webhook(ws: Workspace, webhook_id: str, event: str = "") -> Answer:
    """Send an example message to a webhook now, once; it does not enter the history.

    Args:
        ws: The workspace.
        webhook_id: The webhook.
        event: Of which event; its first one by default.

    Raises:
        NotFound: It is unknown.
        DataError: The event is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import create_webhook
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_webhook(ws, "ci", "https://localhost/hook", ["model_version.created"])
        >>> try_webhook(ws, made.id).status is None
        True
    """
    from .webhooks import webhook

    webhook(ws, webhook_id)
    with reading(ws) as session:
        row = session.exec(select(WebhookRow).where(WebhookRow.id == webhook_id)).one()
        what = check_event(event) if event else row.events[0]
        message = _Taken(0, uuid4().hex, what, EXAMPLES[what], 0, row.url, unseal(ws, row.secret))
    return _send(message, Allowed.parse(ws.outbound_allow))


def signature(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """MLflow's signature of a message: HMAC-SHA256 of id, time and body, as ``v1,<base64>``.

    Example:
        >>> signature("secret", "1", "0", b"{}")
        'v1,Qz8berDYiwuYjWGq74EWXhASRflUh3LjswICZFJ53LI='
    """
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _take(ws: Workspace, limit: int) -> list[_Taken]:
    at = now()
    due = (
        select(WebhookDeliveryRow)
        .where(WebhookDeliveryRow.status == "pending", col(WebhookDeliveryRow.due_at) <= at)
        .order_by(col(WebhookDeliveryRow.due_at), col(WebhookDeliveryRow.seq))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if seconds_until_due(ws) != 0.0:
        return []  # no writer's lock is taken when there is nothing to do
    found = []
    with writing(ws) as session:
        for row in session.exec(due).all():
            hook = session.get(WebhookRow, row.webhook)
            if hook is None or hook.status != "active":
                row.status, row.error, row.ended_at = "failed", "the webhook is disabled", at
                continue
            try:
                secret = unseal(ws, hook.secret)
            except ConfigError as error:
                row.status, row.error, row.ended_at = "failed", str(error), at
                continue
            if not is_sealed(hook.secret):  # of an older raylake, which needed no key
                with suppress(ConfigError):
                    hook.secret = seal(ws, secret)
            row.attempts += 1
            row.due_at = at + timedelta(seconds=LEASE)
            found.append(_Taken(row.seq or 0, row.id, row.event, row.payload, row.attempts, hook.url, secret))
    return found


def _send(message: _Taken, allowed: Allowed) -> Answer:
    entity, _, action = message.event.partition(".")
    at = now()
    body = orjson.dumps(
        {"entity": entity, "action": action, "timestamp": at.isoformat(), "data": dict(message.payload)}
    )
    timestamp = str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "raylake",
        "X-MLflow-Delivery-Id": message.id,
        "X-MLflow-Timestamp": timestamp,
    }
    if message.secret:
        headers["X-MLflow-Signature"] = signature(message.secret, message.id, timestamp, body)
    return post(message.url, body, headers, allowed=allowed)


def _settle(session: Session, message: _Taken, answer: Answer) -> None:
    row = session.get(WebhookDeliveryRow, message.seq)
    if row is None:  # the webhook was deleted meanwhile
        return
    row.response_status = answer.status
    row.error = "" if answer.ok else (answer.error or f"answered {answer.status}: {answer.body}")[:_LONGEST_ERROR]
    again = not answer.final and (answer.status is None or answer.status in _RETRIED)
    if not answer.ok and again and message.attempts < MOST_ATTEMPTS:
        row.due_at = now() + timedelta(seconds=_pause(message.attempts))
        return
    row.status, row.ended_at = "delivered" if answer.ok else "failed", now()


def _pause(attempts: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** (attempts - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)


EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "registered_model.created": {"name": "example_model", "tags": {"example": "tag"}, "description": "An example"},
    "model_version.created": {
        "name": "example_model",
        "version": "1",
        "source": "models:/m-00000000000000000000000000000000",
        "run_id": "00000000000000000000000000000000",
        "tags": {"example": "tag"},
        "description": "An example",
    },
    "model_version_tag.set": {"name": "example_model", "version": "1", "key": "example", "value": "tag"},
    "model_version_tag.deleted": {"name": "example_model", "version": "1", "key": "example"},
    "model_version_alias.created": {"name": "example_model", "alias": "champion", "version": "1"},
    "model_version_alias.deleted": {"name": "example_model", "alias": "champion"},
}
