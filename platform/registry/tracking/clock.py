"""The time of a measurement: microseconds since 1970, rising within a process."""

from __future__ import annotations

import threading
import time


class _Clock:
    """Never the same moment twice, so that of two values logged in a row the second is newer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def now(self) -> int:
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return self._last


_CLOCK = _Clock()


def microseconds() -> int:
    """The present moment.

    Example:
        >>> microseconds() < microseconds()
        True
    """
    return _CLOCK.now()
