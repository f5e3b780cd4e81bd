"""Redis Streams: ranges of entries by id; the cursor is the id and how many entries came before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...core import SourceError
from ..connector import Cursor, RawBatch, Split
from ..optional import need
from .events import MAX_EVENTS, Form, Gathered, check_options, events_lost, moment
from .secrets import conceal, reveal

_PAGE = 5_000
_EVENT_BYTES = 300
_START = "0-0"


@dataclass(frozen=True, slots=True)
class RedisStream:
    """A Redis Stream (Redis 7 or newer). Needs ``raylake[redis]``.

    No consumer group decides what was read: the last id lies in the table's own commit. The number of entries is
    checked against the stream's counter of entries ever added, so a trimmed stream is noticed.

    Attributes:
        url: ``redis://[user:password@]host:port/db``; ``${NAME}`` is read from the environment.
        stream: Key of the stream.
        form: ``fields``: an entry's fields are the columns; ``json``: field `field` holds a JSON object; ``text``:
            field `field` becomes column ``value``.
        field: The field with the payload, for ``json`` and ``text``.
        meta: Facts to add as columns: ``offset`` (``_offset``, the id), ``published_at``, ``stream``.
        lost: ``fail`` when entries were trimmed before they were read, or ``skip`` to go on without them.
        group: Consumer group whose last-delivered id is moved after each commit, for dashboards; ``None``: none.
        max_events: Most entries of one batch.

    Example:
        >>> RedisStream("redis://cache:6379/0", "clicks").form
        'fields'
    """

    url: str
    stream: str
    form: Form = "fields"
    field: str = "event"
    meta: Sequence[str] = ()
    lost: Literal["fail", "skip"] = "fail"
    group: str | None = None
    max_events: int = MAX_EVENTS

    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self.form, self.meta, self.max_events, ("fields", "json", "text"))
        object.__setattr__(self, "meta", tuple(self.meta))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """One split: the entries after the cursor, at most `max_events`."""
        before: Cursor = cursor or {"id": _START, "added": None}
        with self._connected() as client:
            facts = self._facts(client)
            if _order(facts["last"]) < _order(before["id"]) or facts["added"] < (before["added"] or 0):
                raise SourceError(
                    f"{self._name} ends at {facts['last']}, before {before['id']}, up to where it was read: the stream "
                    "was made anew, or the server lost entries. Give the source a new name to read the new stream"
                )
            if facts["last"] == before["id"] or facts["length"] == 0:
                return [], before
            count = facts["length"] if before["added"] is None else facts["added"] - before["added"]
            last = facts["last"]
            if count > self.max_events:
                found = client.xrange(self.stream, min=f"({before['id']}", max=last, count=self.max_events)
                last, count = (found[-1][0].decode(), len(found)) if found else (last, count)
        added = facts["added"] - facts["length"] if before["added"] is None else before["added"]
        after = {"id": last, "added": facts["added"] if last == facts["last"] else added + count}
        address = {"after": before["id"], "last": last, "count": count}
        return [Split(f"{self._name}({before['id']}..{last}]", address, count * _EVENT_BYTES)], after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 5,000 entries."""
        at, last, count = split.address["after"], split.address["last"], 0
        with self._connected() as client:
            while found := client.xrange(self.stream, min=f"({at}", max=last, count=_PAGE):
                gathered = Gathered(self.form, self.meta)
                for key, fields in found:
                    self._take(gathered, key.decode(), fields)
                count += len(found)
                at = found[-1][0].decode()
                yield gathered.batch()
        if count != split.address["count"] and self.lost == "fail":
            wanted = f"{split.address['count']} entries were added after {split.address['after']} up to {last}"
            raise events_lost(self._name, wanted, f"{count} are there")

    def lag(self, cursor: Cursor | None) -> int:
        """Entries after the cursor."""
        with self._connected() as client:
            facts = self._facts(client)
        if cursor is None or cursor["added"] is None:
            return int(facts["length"])
        return max(0, int(facts["added"] - cursor["added"]))

    def acknowledge(self, cursor: Cursor) -> None:
        """Move the last-delivered id of `group`."""
        if self.group is None:
            return
        redis = need("redis", "redis")
        with self._connected() as client:
            try:
                client.xgroup_create(self.stream, self.group, id=cursor["id"])
            except redis.ResponseError:
                client.xgroup_setid(self.stream, self.group, id=cursor["id"])

    def _take(self, gathered: Gathered, key: str, fields: dict[bytes, bytes]) -> None:
        payload: Any = fields.get(self.field.encode())
        if self.form == "fields":
            payload = {name.decode(errors="replace"): text.decode(errors="replace") for name, text in fields.items()}
        at = moment(int(key.partition("-")[0]))
        gathered.add(payload, stream=self.stream, offset=key, published_at=at)

    def _facts(self, client: Any) -> dict[str, Any]:
        redis = need("redis", "redis")
        try:
            found = client.xinfo_stream(self.stream)
        except redis.ResponseError as error:
            raise SourceError(
                f"{self._name} does not exist: {error}. Correct the key, or add an entry first"
            ) from error
        if "entries-added" not in found:
            raise SourceError(f"{self._name}: the server counts no entries, so losses would not be seen; use Redis 7")
        return {
            "last": found["last-generated-id"].decode(),
            "added": int(found["entries-added"]),
            "length": int(found["length"]),
        }

    @property
    def _name(self) -> str:
        return f"{conceal(self.url)}#{self.stream}"

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        redis = need("redis", "redis")
        try:
            with redis.Redis.from_url(reveal(self.url), socket_timeout=30, socket_connect_timeout=5) as client:
                yield client
        except (redis.RedisError, OSError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError(
                f"{self._name} cannot be read: {error}. Check address and rights, or try later"
            ) from error


def _order(key: str) -> tuple[int, int]:
    time, _, number = key.partition("-")
    return int(time), int(number or 0)
