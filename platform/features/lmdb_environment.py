"""The LMDB environment of a folder in this process: shared by its handles, grown when full, errors translated."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import lmdb

from ..core import StorageError

MAX_READERS = 1024
_Result = TypeVar("_Result")


class Environment:
    """The one LMDB environment of a folder in this process, and the gate that resizing its map needs.

    LMDB invalidates open transactions when the map is resized (py-lmdb 3.0 does not stop it), so transactions
    enter the gate and a resize waits until none is inside.
    """

    def __init__(self, path: str, map_size: int) -> None:
        self.path = path
        self.process = os.getpid()
        self.dirty = False
        self.synced = time.monotonic()
        self._inside = 0
        self._closing = 0  # resizes that wait: newcomers queue behind them, or busy readers would starve a resize
        self._gate = threading.Condition(threading.Lock())
        self._writer = threading.Lock()
        self._handle: lmdb.Environment | None = _open(path, map_size)

    def read(self, work: Callable[[lmdb.Transaction], _Result]) -> _Result:
        """Run `work` in one read transaction; repeated when another process has grown the map."""
        while True:
            handle = self._enter()
            try:
                with handle.begin() as reading:
                    return work(reading)
            except lmdb.MapResizedError:
                pass
            except lmdb.Error as error:
                raise _translation(self.path, error) from error
            finally:
                self._leave()
            self._resize(grow=False)

    def write(self, work: Callable[[lmdb.Transaction], _Result]) -> _Result:
        """Run `work` in one write transaction; repeated from the start after the map was grown."""
        with self._writer:
            while True:
                try:
                    return self._try_write(work)
                except lmdb.MapFullError:
                    self._resize(grow=True)
                except lmdb.MapResizedError:
                    self._resize(grow=False)
                except lmdb.Error as error:
                    raise _translation(self.path, error) from error

    def _try_write(self, work: Callable[[lmdb.Transaction], _Result]) -> _Result:
        handle = self._enter()
        writing: lmdb.Transaction | None = None
        try:
            writing = handle.begin(write=True)
            result = work(writing)
            writing.commit()
            writing = None
            return result
        finally:
            self._leave()
            if writing is not None:
                # Aborting a write while threads of this process read takes py-lmdb 3.0 seconds: it is starved.
                with self._alone():
                    writing.abort()

    def sync(self) -> None:
        """Flush to disk what was written."""
        self.dirty, self.synced = False, time.monotonic()
        handle = self._enter()
        try:
            with _translated(self.path):
                handle.sync(True)
        finally:
            self._leave()

    def close(self) -> None:
        """Sync and close; called when the last handle of this process is closed."""
        if self._handle is None:
            return
        if self.process == os.getpid():  # after a fork the environment is the parent's: hands off
            if self.dirty:
                self.sync()
            with self._alone():
                self._handle.close()
        self._handle = None

    def _enter(self) -> lmdb.Environment:
        with self._gate:
            if self._closing:
                self._gate.wait_for(lambda: not self._closing)
            if self._handle is None or self.process != os.getpid():
                raise StorageError(f"online store {self.path} is closed in this process: open it again (open_online)")
            self._inside += 1
            return self._handle

    def _leave(self) -> None:
        with self._gate:
            self._inside -= 1
            if self._closing and self._inside == 0:
                self._gate.notify_all()

    def _resize(self, *, grow: bool) -> None:
        with self._alone():
            if self._handle is not None:
                with _translated(self.path):  # 0 adopts the size that another process has given it
                    self._handle.set_mapsize(int(self._handle.info()["map_size"]) * 2 if grow else 0)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._gate:
            self._closing += 1
            try:
                self._gate.wait_for(lambda: self._inside == 0)
                yield
            finally:
                self._closing -= 1
                self._gate.notify_all()


class Environments:
    """Environments by folder, with the number of handles that use each.

    The only process-wide state of this layer. LMDB's locks belong to the process, so it forbids to open one file
    twice; handles of the same folder therefore have to find each other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[tuple[int, str], int] = {}
        self._open: weakref.WeakValueDictionary[tuple[int, str], Environment] = weakref.WeakValueDictionary()

    def borrow(self, path: str, map_size: int) -> Environment:
        """The environment of a folder, opened for its first user."""
        key = (os.getpid(), os.path.realpath(path))
        with self._lock:
            environment = self._open.get(key)
            if environment is None:
                environment = Environment(key[1], map_size)
                self._open[key] = environment
                self._users[key] = 0
            self._users[key] += 1
            return environment

    def give_back(self, environment: Environment) -> None:
        """One user less; the last one's is closed."""
        key = (environment.process, environment.path)
        with self._lock:
            self._users[key] -= 1
            if self._users[key] == 0:
                del self._users[key], self._open[key]
                environment.close()


SHARED = Environments()


def _open(path: str, map_size: int) -> lmdb.Environment:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"online store {path} cannot be created: {error.strerror}. Name a writable folder"
        ) from error
    with _translated(path):
        # A map smaller than the file is raised to the file's size by LMDB. No readahead: look-ups are random.
        handle = lmdb.open(
            path,
            map_size=map_size,
            sync=False,
            metasync=False,
            readahead=False,
            max_readers=MAX_READERS,
            max_spare_txns=16,
        )
        handle.reader_check()
    return handle


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise _translation(path, error) from error


def _translation(path: str, error: lmdb.Error) -> StorageError:
    """LMDB's errors as ours; a full or grown map is handled before."""
    damage = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
    if isinstance(error, damage):
        return StorageError(
            f"online store {path} is damaged or not an LMDB of this version ({error}): remove the folder and "
            "materialise the views again; all of its content comes from the Delta tables"
        )
    return StorageError(f"online store {path}: {error}. Check the disk (space, permissions), then try again")
