"""Online store on LMDB: one memory-mapped file, shared by all processes of a node.

Durability. Writes go to the page cache without fsync, so a commit takes microseconds and every process sees it at
once. When a *process* dies, even by SIGKILL, nothing committed is lost: the pages belong to the kernel. When the
*machine* dies, what was written since the last sync (every few seconds while writing, and on close) may be lost, and
a file system that reorders writes may leave the file damaged. Both are repaired by materialising again, because the
store is derived: every value comes from a Delta table, and writing a value twice changes nothing. Damaged files raise
`StorageError` that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

import lmdb

from ..core import StorageError
from ..core.closing import Closing
from .codec import RANK_BYTES
from .lmdb_environment import SHARED, Environment
from .online import newest_of, within

INITIAL_MAP = 64 * 1024**2
SYNC_SECONDS = 5.0
SCANNED = 4_096  # keys in one read transaction of a scan: a long one would keep old pages from being reused


class LmdbStore(Closing):
    """`OnlineStore` on LMDB. See the module for durability.

    Args:
        path: Folder, created when missing.
        map_size: First size of the memory map in bytes; it doubles whenever it is full.
        sync_seconds: While writing, flush to disk at most this often.

    Raises:
        StorageError: The folder cannot be written, or its files are damaged.

    Example:
        >>> import tempfile
        >>> store = LmdbStore(tempfile.mkdtemp())
        >>> store.put([(b"k", bytes(16))]), store.count(), store.drop(b"k")
        (1, 1, 1)
        >>> store.close()
    """

    def __init__(self, path: str, map_size: int = INITIAL_MAP, sync_seconds: float = SYNC_SECONDS) -> None:
        self._path = str(Path(path).absolute())
        self._options = (map_size, sync_seconds)
        self._environment: Environment | None = SHARED.borrow(self._path, map_size)

    def __reduce__(self) -> tuple[object, ...]:
        return (LmdbStore, (self._path, *self._options))

    def put(self, items: Iterable[tuple[bytes, bytes]], *, keep: timedelta | None = None) -> int:
        """See `OnlineStore.put`; nothing vanishes by itself."""
        newest = within(newest_of(items), keep)
        # In the order of the keys a page is written once, not once per key that lies in it.
        keys = sorted(newest)
        pairs = list(newest.items())
        if keys != list(newest):
            pairs = [(key, newest[key]) for key in keys]

        def write(transaction: lmdb.Transaction) -> int:
            # Two calls for the whole batch: each call of LMDB gives up the GIL, and getting it back among busy
            # reader threads costs up to 5 ms.
            cursor = transaction.cursor()
            if _nothing_between(cursor, keys):
                fresh = pairs
            else:
                stored = {bytes(key): bytes(value[:RANK_BYTES]) for key, value in cursor.getmulti(keys)}
                fresh = [pair for pair in pairs if stored.get(pair[0], b"") <= pair[1][:RANK_BYTES]]
            cursor.putmulti(fresh)
            return len(fresh)

        return self._write(write) if keys else 0

    def amend(self, items: Iterable[tuple[bytes, bytes, bytes | None]]) -> int:
        """See `OnlineStore.amend`."""
        wanted = list(items)

        def write(transaction: lmdb.Transaction) -> int:
            changed = 0
            for key, limit, value in wanted:
                stored = transaction.get(key)
                if stored == value or (stored is not None and bytes(stored[:RANK_BYTES]) > limit):
                    continue
                changed += 1
                if value is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, value)
            return changed

        return self._write(write) if wanted else 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.get_many`."""

        def look(transaction: lmdb.Transaction) -> list[bytes | None]:
            get = transaction.get
            return cast("list[bytes | None]", [get(key) for key in keys])

        return self._open().read(look)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore.scan`."""
        start, skip = prefix, False
        while True:

            def read(transaction: lmdb.Transaction, start: bytes = start, skip: bool = skip) -> _Page:
                return _page(transaction, prefix, start, skip=skip)

            page = self._open().read(read)
            yield from page
            if len(page) < SCANNED:
                return
            start, skip = page[-1][0], True

    def drop(self, prefix: bytes, below: bytes | None = None) -> int:
        """See `OnlineStore.drop`."""

        def remove(transaction: lmdb.Transaction) -> int:
            cursor, removed = transaction.cursor(), 0
            found = cursor.set_range(prefix)
            while found and bytes(cursor.key()).startswith(prefix):
                if below is None or bytes(cursor.value()[:RANK_BYTES]) < below:
                    found = cursor.delete()  # moves on to the next
                    removed += 1
                else:
                    found = cursor.next()
            return removed

        return self._write(remove)

    def count(self, prefix: bytes = b"") -> int:
        """See `OnlineStore.count`."""

        def look(transaction: lmdb.Transaction) -> int:
            cursor, found = transaction.cursor(), 0
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if not bytes(key).startswith(prefix):
                        break
                    found += 1
            return found

        return self._open().read(look)

    def sync(self) -> None:
        """See `OnlineStore.sync`."""
        self._open().sync()

    def close(self) -> None:
        """See `OnlineStore.close`."""
        environment, self._environment = self._environment, None
        if environment is not None:
            SHARED.give_back(environment)

    def _write(self, work: Callable[[lmdb.Transaction], int]) -> int:
        environment = self._open()
        changed = environment.write(work)
        environment.dirty = True
        if time.monotonic() - environment.synced > self._options[1]:
            environment.sync()
        return changed

    def _open(self) -> Environment:
        if self._environment is None:
            raise StorageError(f"online store {self._path} is closed: open it again (open_online)")
        return self._environment


_Page = list[tuple[bytes, bytes]]


def _nothing_between(cursor: lmdb.Cursor, keys: Sequence[bytes]) -> bool:
    """Whether no key is stored from the first to the last of `keys`, as when a view is filled for the first time."""
    return not cursor.set_range(keys[0]) or bytes(cursor.key()) > keys[-1]


def _page(transaction: lmdb.Transaction, prefix: bytes, start: bytes, *, skip: bool) -> _Page:
    """Up to `SCANNED` pairs below `prefix` from `start` on, or after it."""
    cursor = transaction.cursor()
    found: _Page = []
    if cursor.set_range(start):
        for key, value in cursor.iternext():
            name = bytes(key)
            if not name.startswith(prefix) or len(found) == SCANNED:
                break
            if not (skip and name == start):
                found.append((name, bytes(value)))
    return found
