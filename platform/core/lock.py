"""An exclusive lock on a local workspace, for jobs that must not run twice at once."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from . import urls
from .errors import StorageError, WorkspaceBusy
from .refs import check_name
from .workspace import Workspace

_PAUSE = 0.01  # seconds between two tries


@contextmanager
def exclusive(ws: Workspace, job: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the workspace's lock for `job`; the operating system frees it however the process ends.

    On a local root the lock file lies in the workspace; for a remote root it guards this machine only.

    Args:
        ws: The workspace.
        job: Name of what must not run twice at once.
        patience: Seconds to wait for another holder to let go; by default none.

    Raises:
        WorkspaceBusy: Another process holds it, still after `patience`; the message names its process id.
        StorageError: The lock file cannot be written (full or read-only disk).

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> with exclusive(ws, "demo"):
        ...     print("alone")
        alone
    """
    path = _lock_path(ws, check_name(job, "job"))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"lock file {path} cannot be written: {error.strerror}. Free or unlock the disk") from error
    try:
        try:
            _lock(descriptor, time.monotonic() + patience)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise WorkspaceBusy(
                f"workspace {ws.root} is in use by another {job!r} (process {owner}): "
                "wait for it to end, or name another workspace with --workspace DIR"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)


def _lock_path(ws: Workspace, job: str) -> Path:
    if urls.is_local(ws.root):
        return Path(ws.root) / f"{job}.lock"
    digest = sha256(ws.root.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"raylake-{digest}-{job}.lock"
