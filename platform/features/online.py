"""The online store's contract, and how to open the one of a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from ..core import ConfigError, Workspace


@runtime_checkable
class OnlineStore(Protocol):
    """The newest value of each entity, by key, for many readers and writers at once.

    A value's first 16 bytes are its rank and compare like bytes (see `raylake.features.codec`); the store interprets
    nothing else. Every implementation passes `raylake.testing.online.OnlineStoreContract`:

    - `put` keeps, of the stored and the given value, the one with the greater rank; equal ranks: the given one. So
      writing is idempotent and may be repeated or reordered: older never overwrites newer.
    - `put` is all or nothing, and a reader sees each value whole, before or after, never between.
    - A value is visible to every process as soon as `put` returns. It is durable after `sync` or `close`.
    - All methods may be called from many threads. Instances may be pickled; the copy opens the store anew.
    """

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> int:
        """Write ``(key, value)`` pairs; returns how many keys got a value (not those that hold a newer one)."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys` in order, all from one moment; None where there is none."""

    def drop(self, prefix: bytes) -> int:
        """Remove every key that starts with `prefix`; returns how many."""

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


def open_online(ws: Workspace) -> OnlineStore:
    """Open the online store of `ws`; the caller keeps it for the life of its process and closes it.

    Several handles of one store in a process are allowed and share one environment.

    Raises:
        ConfigError: `ws.online_url` has a scheme that no store serves.
        StorageError: The store cannot be opened (disk full or read-only, damaged files).

    Example:
        >>> import tempfile
        >>> with open_online(Workspace.open(tempfile.mkdtemp())) as store:
        ...     written = store.put([(b"key", bytes(16) + b"value")])
        ...     store.get_many([b"key", b"other"])
        [b'...value', None]
    """
    from .lmdb_store import LmdbStore

    scheme, _, path = ws.online_url.partition(":")
    if scheme == "lmdb":
        return LmdbStore(path)
    raise ConfigError(f"online store {ws.online_url!r} is not supported: set online_url to lmdb:/local/path")
