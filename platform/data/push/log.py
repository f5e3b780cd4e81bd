"""An append-only log of events on the local disk: many writers' appends share one fsync.

A record is ``length, crc32, payload`` (two little-endian 32-bit numbers before the payload). Segments are named by
their number; a new one begins when the last has grown to its size. What a crash left half-written at the end of
the last segment was never acknowledged, and is cut off when the log is opened.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

from ...core import StorageError, WorkspaceBusy
from ...core.closing import Closing

HEADER = struct.Struct("<II")
SEGMENT_BYTES = 64 * 1024 * 1024
_LARGEST_RECORD = 8 * 1024 * 1024
_BLOCK = 1024 * 1024


class EventLog(Closing):
    """The writing end; at most one per folder, which a lock of the operating system guards. Thread-safe.

    Args:
        folder: Where the segments lie; created.
        segment_bytes: Size at which a new segment begins.

    Raises:
        WorkspaceBusy: Another process writes this log.
        StorageError: The disk is full, read-only or broken.

    Example:
        >>> import tempfile
        >>> with EventLog(Path(tempfile.mkdtemp()) / "log") as log:
        ...     log.append([b"one", b"two"]).result()
        >>> [payload for _, payload in records(segment_files(log.folder)[0])]
        [b'one', b'two']
    """

    def __init__(self, folder: Path | str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = Path(folder)
        self._segment_bytes = segment_bytes
        self._lock = _locked(self.folder)
        self._number, self._file, self._size = _last_segment(self.folder)
        self._waiting: list[tuple[bytes, Future[None]]] = []
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._broken: StorageError | None = None
        self._thread = threading.Thread(target=self._commit_forever, name="event-log", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were appended and are not durable yet."""
        return self._waiting_bytes

    def append(self, payloads: Sequence[bytes]) -> Future[None]:
        """Append records; the future is done when they are on the disk, all of them, in this order.

        Raises:
            StorageError: The log is closed, or the disk failed before. The future raises it when the disk fails now.
        """
        block = b"".join(HEADER.pack(len(one), zlib.crc32(one)) + one for one in payloads)
        done: Future[None] = Future()
        with self._changed:
            if self._broken is not None:
                raise self._broken
            if self._closed:
                raise StorageError(f"event log {self.folder} is closed: open it again")
            self._waiting.append((block, done))
            self._waiting_bytes += len(block)
            self._changed.notify()
        return done

    def close(self) -> None:
        """Make durable what waits, then free the log for others."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._thread.join()
        os.close(self._file)
        os.close(self._lock)

    def _commit_forever(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                batch, self._waiting = self._waiting, []
            if not batch:
                return
            self._commit(batch)

    def _commit(self, batch: list[tuple[bytes, Future[None]]]) -> None:
        """Write and sync everything that waits, at once: while the disk syncs, the next batch gathers."""
        block = b"".join(part for part, _ in batch)
        error: StorageError | None = self._broken
        if error is None:
            try:
                self._write(block)
            except OSError as failure:
                error = self._failed(failure)
        with self._changed:
            self._waiting_bytes -= len(block)
        for _, done in batch:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

    def _write(self, block: bytes) -> None:
        if self._size and self._size + len(block) > self._segment_bytes:
            self._number += 1
            file = _open_segment(self.folder, self._number)
            os.close(self._file)
            self._file, self._size = file, 0
        view = memoryview(block)
        at = self._size
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        os.fdatasync(self._file)
        self._size = at

    def _failed(self, failure: OSError) -> StorageError:
        error = StorageError(
            f"event log {self.folder} cannot be written: {failure.strerror or failure}. "
            "The events were not accepted; free or repair the disk, and send them again"
        )
        error.__cause__ = failure
        try:
            # What was written of the batch is not acknowledged, so it goes.
            os.ftruncate(self._file, self._size)
            os.fdatasync(self._file)
        except OSError:
            # After a failed sync nobody knows what is on the disk: only opening the log again finds out.
            self._broken = error
        return error


def segment_files(folder: Path) -> list[Path]:
    """The segments of a log, oldest first."""
    return sorted(folder.glob("[0-9]*.log"))


def records(path: Path, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Pairs (offset after the record, payload) of the whole records in ``[start, stop)``; a torn end is left out."""
    with path.open("rb", buffering=_BLOCK) as file:
        file.seek(start)
        at = start
        while stop is None or at < stop:
            header = file.read(HEADER.size)
            if len(header) < HEADER.size:
                return
            length, crc = HEADER.unpack(header)
            if length > _LARGEST_RECORD:
                return
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(payload) != crc:
                return
            at += HEADER.size + length
            yield at, payload


def _locked(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"event log {folder} cannot be opened: {error.strerror}. Name a writable folder") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise WorkspaceBusy(f"event log {folder} is written by another process: send events to that one") from error
    return lock


def _last_segment(folder: Path) -> tuple[int, int, int]:
    """Number, descriptor and valid size of the newest segment; its torn end is cut off."""
    files = segment_files(folder)
    number = int(files[-1].stem) if files else 1
    try:
        size = max((end for end, _ in records(files[-1])), default=0) if files else 0
        file = _open_segment(folder, number)
        os.ftruncate(file, size)
        os.fdatasync(file)
    except OSError as error:
        raise StorageError(f"event log {folder} cannot be opened: {error.strerror}. Check the disk") from error
    return number, file, size


def _open_segment(folder: Path, number: int) -> int:
    file = os.open(folder / f"{number:012d}.log", os.O_RDWR | os.O_CREAT, 0o644)
    # The name itself must survive a crash too.
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return file
