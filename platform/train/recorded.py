"""A registry run that never stays open: an error or Ctrl-C ends it as failed or stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import Workspace
from ..registry import Run, finish_run


@contextmanager
def closing(ws: Workspace, run: Run) -> Iterator[Run]:
    """Run a block that finishes `run`; when the block raises, mark the run and raise on.

    Ctrl-C and `sys.exit` leave the status ``stopped``, everything else ``failed`` with the error's message.

    Example:
        >>> import tempfile
        >>> from raylake import registry
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> run = registry.start_run(ws, "train", "demo")
        >>> with closing(ws, run):
        ...     raise ValueError("no luck")
        Traceback (most recent call last):
        ...
        ValueError: no luck
        >>> registry.run(ws, run.id).status
        'failed'
    """
    try:
        yield run
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
        message = str(error) or type(error).__name__
        finish_run(ws, run.id, status="stopped" if stopped else "failed", error=message)
        raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Give Ctrl-C back its meaning around Ray Train and Ray Tune.

    Ray Train installs its own SIGINT handler, which ends the process with `sys.exit(0)`, and leaves it installed
    after the fit. Inside this block Ctrl-C ends in KeyboardInterrupt; afterwards the former handler is back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        raise KeyboardInterrupt from error
    finally:
        signal.signal(signal.SIGINT, former)
