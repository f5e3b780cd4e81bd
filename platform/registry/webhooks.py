"""Webhooks: who wants to hear of which change of models. Messages are written in the transaction of the change.

Events, payloads, headers and signatures are MLflow's (https://mlflow.org/docs/latest/ml/webhooks/), so that its
verification code works. `deliver_due` sends what is written; see `delivery.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlmodel import Session, col, select

from ..core import DataError, NotFound, Workspace
from ..core.outbound import Allowed, check_url
from .engine import now, reading, writing
from .schema import WebhookDeliveryRow, WebhookRow
from .secrets import seal

EVENTS = (
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
)
STATUSES = ("active", "disabled")
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who wants to hear of which events. The secret is never shown.

    Attributes:
        id: 32 hexadecimal digits.
        name: For people.
        url: Where messages go.
        events: Of which changes, such as ``model_version.created``.
        description: Free text.
        signed: Whether there is a secret, and messages carry a signature.
        status: ``active`` or ``disabled``.
        created_at: When it was created.
        updated_at: When it changed last.
    """

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    description: str
    signed: bool
    status: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to a webhook.

    Attributes:
        id: Sent with it; the same in every attempt.
        event: What it tells of.
        payload: The ``data`` of the message.
        status: ``pending``, ``delivered`` or ``failed``.
        attempts: How often it was sent.
        response_status: Status of the last answer, or ``None``.
        error: Why the last attempt failed, or ``""``.
        created_at: When the change happened.
        due_at: When the next attempt may start.
        ended_at: When it was delivered or given up, or ``None``.
    """

    id: str
    event: str
    payload: Mapping[str, Any]
    status: str
    attempts: int
    response_status: int | None
    error: str
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None


def create_webhook(
    ws: Workspace,
    name: str,
    url: str,
    events: Iterable[str],
    *,
    description: str = "",
    secret: str = "",
    status: str = "active",
) -> Webhook:
    """Ask to hear of events.

    Args:
        ws: The workspace.
        name: Letters, digits, ``.``, ``_`` and ``-``, at most 63.
        url: An HTTPS URL; see `outbound_allow` of the workspace for addresses that are not public.
        events: One or more of MLflow's events about models.
        description: Free text.
        secret: Key of the signatures; without it messages are not signed. It is stored encrypted.
        status: ``active`` or ``disabled``.

    Raises:
        DataError: A value is not valid, or the URL is refused.
        ConfigError: There is no key to encrypt the secret with.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> create_webhook(ws, "ci", "https://ci.example.org/hook", ["model_version.created"], secret="s").signed
        True
    """
    at = now()
    row = WebhookRow(
        id=uuid4().hex,
        name=_check_name(name),
        url=_check_destination(ws, url),
        events=_check_events(events),
        description=_check_text(description),
        secret=seal(ws, _check_text(secret)),
        status=_check_status(status),
        created_at=at,
        updated_at=at,
    )
    with writing(ws) as session:
        session.add(row)
        session.flush()
        return _record(row)


def webhooks(ws: Workspace, *, after: str = "", limit: int | None = 100) -> list[Webhook]:
    """Webhooks in the order of their creation, those after the webhook with the id `after`.

    Raises:
        NotFound: `after` is unknown.

    Example:
        >>> import tempfile
        >>> webhooks(Workspace.open(tempfile.mkdtemp()))
        []
    """
    with reading(ws) as session:
        start = _row(session, after).seq if after else 0
        query = select(WebhookRow).where(col(WebhookRow.seq) > start).order_by(col(WebhookRow.seq)).limit(limit)
        return [_record(row) for row in session.exec(query)]


def webhook(ws: Workspace, webhook_id: str) -> Webhook:
    """One webhook by its id.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> webhook(Workspace.open(tempfile.mkdtemp()), "1")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: webhook '1' is not recorded: registry.webhooks(ws) lists those there are
    """
    with reading(ws) as session:
        return _record(_row(session, webhook_id))


def update_webhook(
    ws: Workspace,
    webhook_id: str,
    *,
    name: str | None = None,
    url: str | None = None,
    events: Iterable[str] | None = None,
    description: str | None = None,
    secret: str | None = None,
    status: str | None = None,
) -> Webhook:
    """Change what is given of a webhook.

    Raises:
        NotFound: It is unknown.
        DataError: A value is not valid, or the URL is refused.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_webhook(ws, "ci", "https://ci.example.org/hook", ["model_version.created"])
        >>> update_webhook(ws, made.id, status="disabled").status
        'disabled'
    """
    given: dict[str, Any] = {
        "name": None if name is None else _check_name(name),
        "url": None if url is None else _check_destination(ws, url),
        "events": None if events is None else _check_events(events),
        "description": None if description is None else _check_text(description),
        "secret": None if secret is None else seal(ws, _check_text(secret)),
        "status": None if status is None else _check_status(status),
    }
    with writing(ws) as session:
        row = _row(session, webhook_id)
        for field, value in given.items():
            if value is not None:
                setattr(row, field, value)
        row.updated_at = now()
        session.flush()
        return _record(row)


def delete_webhook(ws: Workspace, webhook_id: str) -> None:
    """Remove a webhook with the history of its deliveries.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_webhook(ws, "ci", "https://ci.example.org/hook", ["model_version.created"])
        >>> delete_webhook(ws, made.id)
    """
    with writing(ws) as session:
        session.delete(_row(session, webhook_id))


def deliveries(ws: Workspace, webhook_id: str, *, limit: int | None = 100) -> list[Delivery]:
    """What was and will be sent to a webhook, newest first.

    Raises:
        NotFound: It is unknown.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = create_webhook(ws, "ci", "https://ci.example.org/hook", ["registered_model.created"])
        >>> from raylake.registry import create_model
        >>> _ = create_model(ws, "flight-delay")
        >>> [(delivery.event, delivery.status) for delivery in deliveries(ws, made.id)]
        [('registered_model.created', 'pending')]
    """
    with reading(ws) as session:
        of_hook = select(WebhookDeliveryRow).where(WebhookDeliveryRow.webhook == _row(session, webhook_id).seq)
        rows = session.exec(of_hook.order_by(col(WebhookDeliveryRow.seq).desc()).limit(limit))
        return [delivery_record(row) for row in rows]


def announce(session: Session, event: str, data: Mapping[str, Any]) -> None:
    """Write a message to everybody who wants to hear of `event`, inside the transaction of the change."""
    at = now()
    for hook in session.exec(select(WebhookRow).where(WebhookRow.status == "active")):
        if event in hook.events:
            session.add(
                WebhookDeliveryRow(
                    id=uuid4().hex,
                    webhook=hook.seq or 0,
                    event=event,
                    payload=dict(data),
                    status="pending",
                    created_at=at,
                    due_at=at,
                )
            )


def check_event(event: str) -> str:
    """Return `event` if it is one of MLflow's about models.

    Raises:
        DataError: It is not.
    """
    if event not in EVENTS:
        raise DataError(f"webhook event {event!r:.100} is not valid: use one of {', '.join(EVENTS)}")
    return event


def delivery_record(row: WebhookDeliveryRow) -> Delivery:
    """Record of a row."""
    return Delivery(
        id=row.id,
        event=row.event,
        payload=row.payload,
        status=row.status,
        attempts=row.attempts,
        response_status=row.response_status,
        error=row.error,
        created_at=row.created_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
    )


def _row(session: Session, webhook_id: str) -> WebhookRow:
    row = session.exec(select(WebhookRow).where(WebhookRow.id == webhook_id)).first()
    if row is None:
        raise NotFound(f"webhook {webhook_id!r:.100} is not recorded: registry.webhooks(ws) lists those there are")
    return row


def _record(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        name=row.name,
        url=row.url,
        events=tuple(row.events),
        description=row.description,
        signed=bool(row.secret),
        status=row.status,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise DataError(
            f"webhook name {name!r:.100} is not valid: use 1 to 63 letters, digits, '.', '_' and '-', "
            "a letter or digit at both ends"
        )
    return name


def _check_destination(ws: Workspace, url: str) -> str:
    return check_url(url, Allowed.parse(ws.outbound_allow))


def _check_events(events: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(check_event(event) for event in events))
    if not found:
        raise DataError(f"a webhook needs events: name one or more of {', '.join(EVENTS)}")
    return found


def _check_text(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise DataError(f"a text of {len(text)} characters is too long for a webhook: use at most {_LONGEST_TEXT}")
    return text


def _check_status(status: str) -> str:
    if status not in STATUSES:
        raise DataError(f"webhook status {status!r:.100} is not valid: use one of {', '.join(STATUSES)}")
    return status
