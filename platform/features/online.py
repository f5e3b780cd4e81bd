"""The online store's contract, and how to open the one of a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from ..core import ConfigError, Workspace
from .codec import RANK_BYTES, rank
from .dtypes import micros

TOGETHER = 500


@runtime_checkable
class OnlineStore(Protocol):
    """The newest value of each entity, by key, for many readers and writers at once.

    A value's first 16 bytes are its rank and compare like bytes (see `raylake.features.codec`); the store interprets
    nothing else. Every implementation passes `raylake.testing.online.OnlineStoreContract`:

    - `put` keeps, of the stored and the given value, the one with the greater rank; equal ranks: the given one. So
      writing is idempotent and may be repeated or reordered: older never overwrites newer.
    - What one call of `put` gives becomes visible at once, up to `TOGETHER` keys; a larger one may become visible in
      parts. A reader sees each value whole, before or after, never between. After an error a part may be written:
      call it again.
    - A value is visible to every process as soon as `put` returns. It is durable after `sync` or `close`, as far as
      the store's own configuration goes.
    - All methods may be called from many threads. Instances may be pickled; the copy opens the store anew.
    - A store that does not answer raises `StorageError`; the same instance works again when the store does.
    """

    def put(self, items: Iterable[tuple[bytes, bytes]], *, keep: timedelta | None = None) -> int:
        """Write ``(key, value)`` pairs; returns how many keys got a value (not those that hold a newer one).

        With `keep`, a value whose event time lies further back than that is not written, and later on it may vanish
        by itself, if the store can do that; otherwise `drop` with `below` removes it.
        """

    def amend(self, items: Iterable[tuple[bytes, bytes, bytes | None]]) -> int:
        """Correct what has turned out to be wrong, as when the rows behind it were deleted.

        For each ``(key, limit, value)``: unless the stored value's rank is greater than `limit`, `value` takes its
        place although it may be older, and None removes the key. Returns how many keys changed.
        """

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys` in order, all from one moment; None where there is none."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with `prefix`, in no order; one that is there all the time comes at least once."""

    def drop(self, prefix: bytes, below: bytes | None = None) -> int:
        """Remove every key that starts with `prefix` (and whose rank is less than `below`); returns how many."""

    def count(self, prefix: bytes = b"") -> int:
        """How many keys start with `prefix`."""

    def sync(self) -> None:
        """Make all that was written durable."""

    def close(self) -> None:
        """Sync and let go of the store. Closing twice is harmless; another use raises `StorageError`."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


def newest_of(items: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of each key the value with the greatest rank, the last one among equals.

    Example:
        >>> newest_of([(b"k", bytes(16) + b"a"), (b"k", bytes(16) + b"b")])
        {b'k': b'...b'}
    """
    given = items if isinstance(items, list) else list(items)
    newest = dict(given)
    if len(newest) < len(given):
        newest = {}
        for key, value in given:
            held = newest.get(key)
            if held is None or held[:RANK_BYTES] <= value[:RANK_BYTES]:
                newest[key] = value
    return newest


def within(items: dict[bytes, bytes], keep: timedelta | None) -> dict[bytes, bytes]:
    """Those of `items` whose event time is not further back than `keep`."""
    if keep is None:
        return items
    limit = rank(micros(datetime.now(UTC) - keep), 0)[:8]
    return {key: value for key, value in items.items() if value[:8] >= limit}


def open_online(ws: Workspace) -> OnlineStore:
    """Open the online store of `ws`; the caller keeps it for the life of its process and closes it.

    ``lmdb:PATH`` is a folder that all processes of a node share. ``redis://[user:password@]host:port/db``, or
    ``rediss://`` with TLS, is a Redis server, where keys begin with the workspace's name; with ``?fallback=null``
    look-ups answer "not found" instead of an error while the server is away.

    Several handles of one LMDB in a process are allowed and share one environment.

    Raises:
        ConfigError: `ws.online_url` has a scheme that no store serves, or its library is not installed.
        StorageError: The store cannot be opened (disk full or read-only, damaged files).

    Example:
        >>> import tempfile
        >>> with open_online(Workspace.open(tempfile.mkdtemp())) as store:
        ...     written = store.put([(b"key", bytes(16) + b"value")])
        ...     store.get_many([b"key", b"other"])
        [b'...value', None]
    """
    scheme, _, path = ws.online_url.partition(":")
    if scheme == "lmdb":
        from .lmdb_store import LmdbStore

        return LmdbStore(path)
    if scheme in ("redis", "rediss"):
        from .redis_store import open_redis

        return open_redis(ws.online_url, ws.name)
    raise ConfigError(
        f"online store {ws.online_url.split('@')[-1]!r} is not supported: set online_url to lmdb:/local/path or "
        "redis://host:6379/0"
    )
