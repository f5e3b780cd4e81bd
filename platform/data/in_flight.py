"""Which files of a table are being written right now: a marker per writer, so that no clean-up takes its files away.

A marker lies in ``_raylake/writing`` inside the table's folder, from before the first file is opened until the commit
or the clean-up after a failure. The marker of a killed writer stops to count when its process is gone (on the same
machine), or after a week (on another one).
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyarrow import fs

from ..core import urls
from .storage_errors import storage_errors

FOLDER = "_raylake/writing"
_LONGEST = 7 * 86_400
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


@contextmanager
def in_flight(url: str) -> Iterator[None]:
    """Mark the table's folder as being written by this process.

    Raises:
        StorageError: The marker cannot be written.
    """
    name = uuid.uuid4().hex
    text = json.dumps({"at": time.time(), "machine": _machine(), "pid": os.getpid(), "started": _started(os.getpid())})
    with storage_errors(url):
        store, folder = urls.writable_folder(urls.join(url, FOLDER))
        with store.open_output_stream(f"{folder}/{name}") as out:
            out.write(text.encode())
    try:
        yield
    finally:
        _remove(store, f"{folder}/{name}")


def writing_since(url: str) -> float | None:
    """When the oldest writer that still lives began, in seconds since 1970; removes the markers of dead ones."""
    store, folder = urls.filesystem(urls.join(url, FOLDER))
    begun: list[float] = []
    with storage_errors(url):
        for info in store.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
            marker = _read(store, info.path)
            if marker is None:
                continue
            if _lives(marker):
                begun.append(float(marker["at"]))
            else:
                _remove(store, info.path)
    return min(begun, default=None)


def _lives(marker: dict[str, Any]) -> bool:
    if marker["machine"] == _machine():
        return _started(int(marker["pid"])) == int(marker["started"])
    return time.time() - float(marker["at"]) < _LONGEST


def _read(store: fs.FileSystem, path: str) -> dict[str, Any] | None:
    try:
        with store.open_input_stream(path) as stream:
            return dict(json.loads(stream.read()))
    except FileNotFoundError:
        return None
    except ValueError:
        # Half-written: its writer is at this very moment, or died, between opening and writing it.
        return {"at": time.time(), "machine": "", "pid": 0, "started": 0}


def _remove(store: fs.FileSystem, path: str) -> None:
    # A marker that stays is removed by the next clean-up.
    try:
        store.delete_file(path)
    except OSError:
        return


def _machine() -> str:
    """This boot of this machine and this process namespace: within it a process id means something."""
    try:
        return f"{socket.gethostname()}/{_BOOT.read_text().strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> int:
    """Start time of a live process in clock ticks since boot; 0 when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
