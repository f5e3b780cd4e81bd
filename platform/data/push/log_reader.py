"""The reading end of an event log: a stream connector whose offsets are places in its segments."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import orjson

from ...core import ConfigError, SourceError, Workspace, urls
from ..connector import Cursor, RawBatch, Split
from ..records import BATCH_ROWS, table_of
from ..source import Source
from .log import HEADER, records, segment_files

# Segments that were ingested stay this many deep: their event ids are what duplicates are told by.
KEPT_SEGMENTS = 2
_BATCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PushLog:
    """Events that an `Inbox` made durable in a folder of this machine.

    Attributes:
        folder: The log's folder.
        max_events: Most events of one batch.

    Example:
        >>> PushLog("/lake/push/clicks").max_events
        100000
    """

    folder: str
    max_events: int = 100_000

    sparse: ClassVar[bool] = True

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """A split per segment with events after the cursor, together at most `max_events`."""
        before: Cursor = cursor or {"segment": 0, "offset": 0, "events": 0}
        files = self._segments(before)
        splits, after, left = [], dict(before), self.max_events
        for path in files:
            start = before["offset"] if int(path.stem) == before["segment"] else 0
            end, count = _durable_end(path, start, left)
            if count:
                address = {"segment": int(path.stem), "from": start, "to": end, "events": count}
                splits.append(Split(f"{path}[{start}..{end})", address, end - start))
                after = {"segment": int(path.stem), "offset": end, "events": after["events"] + count}
                left -= count
            if left <= 0 or sum(split.size for split in splits) >= _BATCH_BYTES:
                break
        return splits, after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 16,384 events."""
        path = self._path(int(split.address["segment"]))
        waiting: list[Mapping[str, Any]] = []
        count = 0
        try:
            for _, payload in records(path, int(split.address["from"]), int(split.address["to"])):
                waiting.append(orjson.loads(payload)[1])
                count += 1
                if len(waiting) == BATCH_ROWS:
                    yield RawBatch(table_of(waiting))
                    waiting = []
        except OSError as error:
            raise SourceError(f"event log {path} cannot be read: {error.strerror}. Restore it") from error
        if waiting:
            yield RawBatch(table_of(waiting))
        if count != split.address["events"]:
            raise SourceError(
                f"event log {path} holds {count} whole events of {split.address['events']}: the file was damaged. "
                "Nothing was committed; restore it"
            )

    def lag(self, cursor: Cursor | None) -> int:
        """Events after the cursor."""
        before: Cursor = cursor or {"segment": 0, "offset": 0}
        return sum(
            _durable_end(path, before["offset"] if int(path.stem) == before["segment"] else 0, None)[1]
            for path in self._segments(before)
        )

    def acknowledge(self, cursor: Cursor) -> None:
        """Remove segments that were ingested, but for the newest ones."""
        done = [path for path in segment_files(Path(self.folder)) if int(path.stem) < cursor["segment"]]
        for path in done[:-KEPT_SEGMENTS]:
            path.unlink(missing_ok=True)

    def backlog_bytes(self, cursor: Cursor | None) -> int:
        """Bytes after the cursor, from the sizes of the files."""
        before: Cursor = cursor or {"segment": 0, "offset": 0}
        sizes = {int(path.stem): path.stat().st_size for path in self._segments(before)}
        return sum(sizes.values()) - (before["offset"] if before["segment"] in sizes else 0)

    def _segments(self, before: Cursor) -> list[Path]:
        folder = Path(self.folder)
        if not folder.is_dir():
            raise SourceError(f"there is no event log at {folder}: send an event first, or correct the folder")
        files = [path for path in segment_files(folder) if int(path.stem) >= before["segment"]]
        if before["segment"] and (not files or int(files[0].stem) != before["segment"]):
            raise SourceError(
                f"segment {before['segment']} of event log {folder} is gone, and with it events that were not read: "
                "restore it, or give the source a new name"
            )
        return files

    def _path(self, segment: int) -> Path:
        return Path(self.folder) / f"{segment:012d}.log"


def push_source(ws: Workspace, source: Source) -> Source:
    """The source with its connector set to the event log that `Inbox` and `push_app` write for it.

    Args:
        ws: Its root is on the local disk: an event is durable where it arrives.
        source: Any connector; it is replaced.

    Raises:
        ConfigError: The root is not on the local disk.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> clicks = push_source(ws, Source("clicks", PushLog(""), schema={"id": "string"}, key=["id"]))
        >>> clicks.connector.folder.endswith("push/clicks")
        True
    """
    if not urls.is_local(ws.root):
        raise ConfigError(
            f"events for {source.name!r} need a disk where they arrive, and root {ws.root!r} is remote: use "
            "Source(..., PushLog('/a/local/folder'))"
        )
    return replace(source, connector=PushLog(str(Path(ws.root) / "push" / source.name)), continuous=True)


def _durable_end(path: Path, start: int, most: int | None) -> tuple[int, int]:
    """Offset after the last whole record (of at most `most`), and their number; all of it is on the disk afterwards."""
    size = path.stat().st_size
    end, count = start, 0
    if size - start <= HEADER.size:
        return end, count
    # The writer may not have synced yet what it has written: a commit must not know more than the disk.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    for offset, _ in records(path, start, size):
        if (most is not None and count == most) or offset > size:
            break
        end, count = offset, count + 1
    return end, count
