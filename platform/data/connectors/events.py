"""What connectors of event streams share: how an event becomes a row, and how losses are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ...core import ConfigError, SourceError
from ..connector import RawBatch
from ..records import parsed, table_of

MAX_EVENTS = 100_000
Form = Literal["json", "text", "fields"]
META = ("stream", "partition", "offset", "key", "published_at")


@dataclass(slots=True)
class Gathered:
    """Events on their way into a batch.

    Attributes:
        form: ``json``: the payload is a JSON object; ``text``: it becomes column ``value``; ``fields``: a mapping.
        meta: Facts of the event to put beside its fields, as columns ``_offset`` and so on.
    """

    form: Form
    meta: Sequence[str] = ()
    payloads: list[Any] = field(default_factory=list)
    facts: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, payload: Any, **facts: Any) -> None:
        """Take an event; facts are stream, partition, offset, key, published_at."""
        self.payloads.append(payload)
        self.facts.append({f"_{name}": facts.get(name) for name in self.meta})

    def batch(self) -> RawBatch:
        """The events so far as rows; those that are no JSON object as broken."""
        payloads, facts = self.payloads, self.facts
        self.payloads, self.facts = [], []
        if self.form == "json":
            rows, broken = [], []
            for payload, fact in zip(payloads, facts, strict=True):
                objects, bad = parsed([b"" if payload is None else payload])
                rows += [{**one, **fact} for one in objects]
                broken += bad
            return RawBatch(table_of(rows), tuple(broken))
        if self.form == "text":
            texts = [
                payload.decode(errors="replace") if isinstance(payload, bytes) else payload for payload in payloads
            ]
            return RawBatch(table_of([{"value": text, **fact} for text, fact in zip(texts, facts, strict=True)]))
        return RawBatch(table_of([{**payload, **fact} for payload, fact in zip(payloads, facts, strict=True)]))


def check_options(form: str, meta: Sequence[str], max_events: int, forms: Sequence[str] = ("json", "text")) -> None:
    """Raise `ConfigError` for options that mean nothing."""
    if form not in forms:
        raise ConfigError(f"form={form!r} is not valid: use one of {', '.join(forms)}")
    unknown = [name for name in meta if name not in META]
    if unknown or isinstance(meta, str):
        raise ConfigError(f"meta={meta!r} is not valid: list some of {', '.join(META)}")
    if max_events < 1:
        raise ConfigError(f"max_events={max_events} is not valid: use at least 1")


def events_lost(name: str, wanted: str, found: str) -> SourceError:
    """The error of events that were removed before they were read."""
    return SourceError(
        f"{name}: {wanted}, but {found}: events were removed before they were read. Nothing was committed. Keep events "
        "longer on the server; declare lost='skip' to go on without them"
    )


def moment(milliseconds: float) -> datetime:
    """Milliseconds since 1970 as a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
