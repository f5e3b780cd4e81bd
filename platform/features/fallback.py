"""What look-ups answer while the online store is away, when its URL says so: nothing, instead of an error."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from ..core import StorageError
from ..core.closing import Closing
from .online import OnlineStore

_log = logging.getLogger("raylake.features")


class NullFallback(Closing):
    """An `OnlineStore` whose look-ups answer "not found" while the store behind it does not answer.

    Everything else raises, since a write that did nothing would be a lie. An outage and its end are logged once.

    Args:
        store: The store behind it.

    Attributes:
        failures: Look-ups that were answered so.
    """

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self._away = self._closed = False
        self.failures = 0

    def __reduce__(self) -> tuple[object, ...]:
        return (NullFallback, (self._store,))

    def put(self, items: Iterable[tuple[bytes, bytes]], *, keep: timedelta | None = None) -> int:
        """See `OnlineStore.put`."""
        return self._store.put(items, keep=keep)

    def amend(self, items: Iterable[tuple[bytes, bytes, bytes | None]]) -> int:
        """See `OnlineStore.amend`."""
        return self._store.amend(items)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `OnlineStore.get_many`; all None while the store is away."""
        try:
            found = self._store.get_many(keys)
        except StorageError as error:
            if self._closed:
                raise
            self.failures += 1
            if not self._away:
                self._away = True
                _log.warning("look-ups answer null until the online store is back: %s", error)
            return [None] * len(keys)
        if self._away:
            self._away = False
            _log.warning("the online store is back; %d look-ups were answered with null", self.failures)
        return found

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `OnlineStore.scan`."""
        return self._store.scan(prefix)

    def drop(self, prefix: bytes, below: bytes | None = None) -> int:
        """See `OnlineStore.drop`."""
        return self._store.drop(prefix, below)

    def count(self, prefix: bytes = b"") -> int:
        """See `OnlineStore.count`."""
        return self._store.count(prefix)

    def sync(self) -> None:
        """See `OnlineStore.sync`."""
        self._store.sync()

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._closed = True
        self._store.close()
