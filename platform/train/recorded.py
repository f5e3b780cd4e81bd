"""A registry run that never stays open: an error or Ctrl-C ends it as failed or stopped."""

from __future__ import annotations

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
