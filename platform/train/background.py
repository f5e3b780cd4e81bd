"""Work beside the training, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Background:
    """Runs one piece of work at a time in a thread; the error of a piece is raised by the next call.

    Example:
        >>> work, written = Background(), []
        >>> work.begin(written.append, "first")
        >>> work.wait()
        >>> written
        ['first']
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="raylake-checkpoint")
        self._last: Future[Any] | None = None

    def begin(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Wait for the piece before, then begin this one."""
        self.wait()
        self._last = self._pool.submit(work, *arguments)

    def wait(self) -> None:
        """Wait until the last piece is done, and raise what it raised."""
        if self._last is not None:
            self._last.result()
