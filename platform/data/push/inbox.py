"""The inbox of one source: checks events, tells duplicates, and says yes when they are on the disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ...core import ConfigError, Overloaded
from ..source import Source
from .event_check import EventCheck
from .log import SEGMENT_BYTES, EventLog, records, segment_files
from .log_reader import KEPT_SEGMENTS, PushLog

_WAITING_BYTES = 32 * 1024 * 1024
_BACKLOG_BYTES = 2 * 1024 * 1024 * 1024
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a request's events.

    Attributes:
        accepted: Events that are new and durable now.
        duplicates: Events whose id was accepted before; they are durable too.
    """

    accepted: int
    duplicates: int


class Inbox:
    """Takes events for one source. Thread-safe; one process per source and machine.

    An event's id is the value of the source's key, when the key is one column. An id is remembered for as long as
    the log keeps its segment: at least two segments (128 MiB of events) after it was ingested, across restarts.

    Args:
        source: Its connector is a `PushLog`.
        waiting_bytes: Most bytes that wait for the disk; beyond it events are refused (`Overloaded`).
        backlog_bytes: Most bytes on the disk that wait to be ingested.
        segment_bytes: Size of a segment of the log.

    Raises:
        ConfigError: The connector is another one.
        WorkspaceBusy: Another process takes events for it.

    Example:
        >>> import tempfile
        >>> from raylake.core import Workspace
        >>> from raylake.data import push_source
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> clicks = push_source(ws, Source("clicks", PushLog(""), schema={"id": "string", "n": "int64"}, key=["id"]))
        >>> inbox = Inbox(clicks)
        >>> inbox.accept([{"id": "a", "n": 1}, {"id": "a", "n": 1}]).result()
        Accepted(accepted=1, duplicates=1)
        >>> inbox.close()
    """

    def __init__(
        self,
        source: Source,
        *,
        waiting_bytes: int = _WAITING_BYTES,
        backlog_bytes: int = _BACKLOG_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        if not isinstance(source.connector, PushLog):
            raise ConfigError(
                f"source {source.name!r} reads {type(source.connector).__name__}, not events that are sent"
            )
        self.source = source
        self._check = EventCheck(source)
        self._id_field = source.key[0] if len(source.key) == 1 else None
        self._most_waiting, self._most_backlog = waiting_bytes, backlog_bytes
        self._log = EventLog(source.connector.folder, segment_bytes=segment_bytes)
        self._ids: dict[bytes, Future[None] | None] = _known_ids(Path(source.connector.folder))
        self._most_ids = max(100_000, len(self._ids))
        self._lock = threading.Lock()
        self.backlog_bytes = 0

    def accept(self, events: Sequence[Any], *, request_id: str | None = None) -> Future[Accepted]:
        """Check events and append them; the future is done when all of them are on the disk.

        Args:
            events: JSON objects; all are accepted or none.
            request_id: Id of the request, for events without a key: their ids are its number and theirs.

        Raises:
            InvalidRequest: An event does not fit the source; `field` and `row` name where.
            Overloaded: Too much waits: for the disk, or to be ingested.
            StorageError: The disk failed (the future raises it too).
        """
        self._check_room()
        for row, event in enumerate(events):
            self._check(event, row)
        ids = [self._id(event, row, request_id) for row, event in enumerate(events)]
        with self._lock:
            fresh, pending = self._split(ids)
            payloads = [orjson.dumps([ids[row], events[row]]) for row in fresh]
            written = self._log.append(payloads) if payloads else None
            for row in fresh:
                if (label := ids[row]) is not None:
                    self._ids[_digest(label)] = written
            self._forget_oldest()
        if written is not None:
            written.add_done_callback(lambda done: self._settle([ids[row] for row in fresh], done))
        return _all_done([*pending, *([written] if written else [])], Accepted(len(fresh), len(events) - len(fresh)))

    def close(self) -> None:
        """Make durable what waits, and let another process take over."""
        self._log.close()

    def _check_room(self) -> None:
        if self._log.waiting_bytes > self._most_waiting:
            raise Overloaded(f"the disk of source {self.source.name!r} is behind: send again in a second", 1)
        if self.backlog_bytes > self._most_backlog:
            raise Overloaded(
                f"{self.backlog_bytes} bytes of events for source {self.source.name!r} wait to be ingested: "
                "send again in a minute",
                60,
            )

    def _id(self, event: Mapping[str, Any], row: int, request_id: str | None) -> str | None:
        if self._id_field is not None:
            return str(event[self._id_field])
        return None if request_id is None else f"{request_id}/{row}"

    def _split(self, ids: Sequence[str | None]) -> tuple[list[int], list[Future[None]]]:
        """Rows that are new, and what duplicates must wait for: their first copy may not be on the disk yet."""
        fresh, pending, here = [], [], set()
        for row, label in enumerate(ids):
            key = None if label is None else _digest(label)
            if key is not None and key in self._ids:
                first = self._ids[key]
                pending += [first] if first is not None else []
            elif key is None or key not in here:
                fresh.append(row)
            if key is not None:
                here.add(key)
        return fresh, pending

    def _settle(self, labels: list[str | None], done: Future[None]) -> None:
        """Durable ids need no future; those that failed were never accepted."""
        failed = done.exception() is not None
        with self._lock:
            for label in labels:
                if label is None:
                    continue
                key = _digest(label)
                if failed:
                    self._ids.pop(key, None)
                elif key in self._ids:
                    self._ids[key] = None

    def _forget_oldest(self) -> None:
        if len(self._ids) <= 2 * self._most_ids:
            return
        kept = _known_ids(Path(self._log.folder))
        kept.update((key, first) for key, first in self._ids.items() if first is not None)
        self._ids = kept
        self._most_ids = max(100_000, len(self._ids))


def _known_ids(folder: Path) -> dict[bytes, Future[None] | None]:
    found: dict[bytes, Future[None] | None] = {}
    for path in segment_files(folder)[-(KEPT_SEGMENTS + 1) :]:
        for _, payload in records(path):
            label = orjson.loads(payload)[0]
            if label is not None:
                found[_digest(label)] = None
    return found


def _digest(label: str) -> bytes:
    return hashlib.blake2b(label.encode(), digest_size=_DIGEST_BYTES).digest()


def _all_done(waiting: list[Future[None]], result: Accepted) -> Future[Accepted]:
    whole: Future[Accepted] = Future()
    left = len(waiting)
    if left == 0:
        whole.set_result(result)
        return whole
    lock = threading.Lock()

    def one_done(done: Future[None]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
            error = done.exception()
            if error is not None and not whole.done():
                whole.set_exception(error)
            elif last and not whole.done():
                whole.set_result(result)

    for one in waiting:
        one.add_done_callback(one_done)
    return whole
