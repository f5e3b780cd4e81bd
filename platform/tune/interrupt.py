"""Ctrl-C around Ray Tune."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def restored_signals() -> Iterator[None]:
    """Put the handlers of SIGINT and SIGUSR1 back after Ray Tune.

    Ray Tune installs its own, which turn a signal into a quiet end of the study, and leaves them installed: the
    next Ctrl-C of the program would be lost.

    Example:
        >>> before = signal.getsignal(signal.SIGINT)
        >>> with restored_signals():
        ...     _ = signal.signal(signal.SIGINT, signal.SIG_IGN)
        >>> signal.getsignal(signal.SIGINT) == before
        True
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
