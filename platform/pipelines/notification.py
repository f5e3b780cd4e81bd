"""Who is told about a run: webhooks, e-mail, Slack. Values that are stored; secrets are named, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..core import PipelineInvalid

if TYPE_CHECKING:
    from ..core import Workspace

OCCASIONS = ("finished", "failed", "cancelled", "late")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A JSON POST, signed as the Standard Webhooks specification says when a secret is named.

    Attributes:
        url: Where to.
        secret_env: Environment variable with the secret, read when the message is sent.
        headers: Further headers.
    """

    url: str
    secret_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slack:
    """A message for Slack's incoming webhooks, and for what understands them (Mattermost, Rocket.Chat, ...).

    Attributes:
        url: The incoming webhook's URL; ``env:NAME`` reads it from an environment variable.
    """

    url: str


@dataclass(frozen=True, slots=True)
class Email:
    """A mail through an SMTP server.

    Attributes:
        to: Recipients.
        sender: The sender's address.
        host: The server.
        port: Its port.
        starttls: Whether the connection must be encrypted.
        user: Name to log in with, or ``""``.
        password_env: Environment variable with the password.
    """

    to: tuple[str, ...]
    sender: str
    host: str = "localhost"
    port: int = 25
    starttls: bool = False
    user: str = ""
    password_env: str = ""


Channel = Webhook | Slack | Email
_KINDS: Mapping[str, type[Channel]] = {"webhook": Webhook, "slack": Slack, "email": Email}


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a channel about some ends of a pipeline's runs.

    Attributes:
        channel: `Webhook`, `Slack` or `Email`.
        on: Some of ``finished``, ``failed``, ``cancelled``, ``late``.

    Raises:
        PipelineInvalid: An occasion is unknown.

    Example:
        >>> Notify(Slack("env:SLACK_URL"), on=("failed",)).on
        ('failed',)
    """

    channel: Channel
    on: tuple[str, ...] = ("failed", "late")

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", (self.on,) if isinstance(self.on, str) else tuple(self.on))
        for occasion in self.on:
            if occasion not in OCCASIONS:
                raise PipelineInvalid(f"occasion {occasion!r} is not valid: use some of {', '.join(OCCASIONS)}")


def channel_json(channel: Channel) -> dict[str, Any]:
    """A channel as JSON."""
    kind = next(name for name, each in _KINDS.items() if isinstance(channel, each))
    return {"kind": kind, **asdict(channel)}


def channel_from(stored: Mapping[str, Any]) -> Channel:
    """The channel of `channel_json`.

    Example:
        >>> channel_from(channel_json(Slack("https://example.org")))
        Slack(url='https://example.org')
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return _KINDS[fields.pop("kind")](**fields)


def deliveries(notify: Iterable[Notify], occasion: str, pipeline: str, run_id: str, error: str) -> list[dict[str, Any]]:
    """The messages that go out when a run of `pipeline` comes to `occasion`."""
    body = {"occasion": occasion, "pipeline": pipeline, "run_id": run_id, "error": error[:2000]}
    return [
        {"run_id": run_id, "occasion": occasion, "channel": channel_json(each.channel), "body": body}
        for each in notify
        if occasion in each.on
    ]


def deliver_run(ws: Workspace, run_id: str) -> None:
    """Send what a run has left to be sent; what fails is sent again by the scheduler."""
    from .delivery import deliver_due

    deliver_due(ws, run_id=run_id)
