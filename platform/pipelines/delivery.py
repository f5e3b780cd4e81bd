"""Sending notifications: signed, tried again, with a history."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import smtplib
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from ..core import ConfigError, Workspace
from .notification import Email, Slack, Webhook, channel_from
from .store import deliveries as store
from .store.deliveries import Delivery

TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = (10, 60, 300, 1800, 7200, 21600)  # after each failed attempt; then it is given up


def deliver_due(ws: Workspace, *, now: datetime | None = None, run_id: str | None = None) -> int:
    """Send the notifications that are due; return how many were delivered.

    One that fails is tried again 10 s, 1 min, 5 min, 30 min, 2 h and 6 h later. A receiver may get a message twice
    (when the answer is lost); its id is the same then.

    Example:
        >>> import tempfile
        >>> deliver_due(Workspace.open(tempfile.mkdtemp()))
        0
    """
    moment = now or datetime.now(UTC)
    delivered = 0
    for each in store.claim(ws, moment, run_id):
        ok, answer = _sent(each, moment)
        tries = len(each.attempts)
        again = moment + timedelta(seconds=RETRY_SECONDS[tries]) if tries < len(RETRY_SECONDS) else None
        attempt = {"at": moment.isoformat(), "ok": ok, "answer": answer}
        store.attempted(ws, each.id, attempt, again, ok)
        delivered += ok
    return delivered


def notifications(ws: Workspace, run_id: str | None = None, *, limit: int | None = 100) -> list[Delivery]:
    """Notifications with the history of their attempts, newest first.

    Example:
        >>> import tempfile
        >>> notifications(Workspace.open(tempfile.mkdtemp()))
        []
    """
    return store.listed(ws, run_id, limit)


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` of the Standard Webhooks specification (symmetric, version 1).

    Example:
        >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
        ...      b'{"test": 2432232314}')
        'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text, validate=True) if secret.startswith("whsec_") else text.encode()
    except ValueError:
        key = text.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headline(body: dict[str, Any]) -> str:
    """One line for people.

    Example:
        >>> headline({"pipeline": "daily", "occasion": "failed", "run_id": "ab12cd34ef", "error": ""})
        'pipeline daily failed (run ab12cd34)'
    """
    told = {"late": "is late"}.get(body["occasion"], body["occasion"])
    return f"pipeline {body['pipeline']} {told} (run {body['run_id'][:8]})"


def _sent(delivery: Delivery, moment: datetime) -> tuple[bool, str]:
    import httpx

    channel, body = channel_from(delivery.channel), dict(delivery.body)
    try:
        if isinstance(channel, Email):
            return True, _mail(channel, body)
        if isinstance(channel, Slack):
            text = headline(body) + (f"\n```{body['error'][:1500]}```" if body["error"] else "")
            return _post(_named(channel.url), json.dumps({"text": text}).encode(), {})
        payload = json.dumps({"type": f"pipeline.{body['occasion']}", "timestamp": moment.isoformat(), "data": body})
        return _post(channel.url, payload.encode(), _headers(channel, delivery, moment, payload.encode()))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, smtplib.SMTPException, ConfigError) as error:
        return False, f"{type(error).__name__}: {error}"[:500]


def _headers(channel: Webhook, delivery: Delivery, moment: datetime, body: bytes) -> dict[str, str]:
    message, stamp = f"msg_{delivery.run_id}_{delivery.id}", int(moment.timestamp())
    signature = sign(_env(channel.secret_env), message, stamp, body) if channel.secret_env else ""
    named = {"webhook-id": message, "webhook-timestamp": str(stamp)}
    return {**channel.headers, **named, **({"webhook-signature": signature} if signature else {})}


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[bool, str]:
    import httpx

    answer = httpx.post(
        url, content=body, headers={"content-type": "application/json", **headers}, timeout=TIMEOUT_SECONDS
    )
    return answer.is_success, f"{answer.status_code} {answer.text[:200]}"


def _mail(channel: Email, body: dict[str, Any]) -> str:
    message = EmailMessage()
    message["Subject"] = headline(body)
    message["From"], message["To"] = channel.sender, ", ".join(channel.to)
    message.set_content(f"{headline(body)}\n\nrun: {body['run_id']}\n{body['error']}\n")
    with smtplib.SMTP(channel.host, channel.port, timeout=TIMEOUT_SECONDS) as server:
        if channel.starttls:
            server.starttls()
        if channel.user:
            server.login(channel.user, _env(channel.password_env))
        refused = server.send_message(message)
    return f"accepted; refused: {sorted(refused)}" if refused else "accepted"


def _named(url: str) -> str:
    return _env(url.removeprefix("env:")) if url.startswith("env:") else url


def _env(name: str) -> str:
    found = os.environ.get(name)
    if not found:
        raise ConfigError(f"environment variable {name} is not set: it holds a notification's secret")
    return found
