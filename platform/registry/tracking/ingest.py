"""Ingestion: what is logged waits in a bounded queue; one thread writes many entries in one transaction.

An entry is acknowledged when the transaction that holds it has been committed: its `done` is called (an HTTP answer
is sent, `MetricWriter.flush` returns) only then. What was acknowledged survives `kill -9` of every process; what
was not may be lost with the process, and the sender knows which. SQLite runs with ``synchronous=NORMAL``, so a power
cut of the machine may take the last moments; PostgreSQL decides by its ``synchronous_commit``.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import TracebackType

from ...core import RaylakeError, StorageError, Workspace
from ..engine import transaction
from .entries import Entry, write
from .metrics import points_of

CAPACITY = 200_000  # measurements and labels that may wait: about 30 MB
BATCH = 20_000  # as many of them in one transaction
Done = Callable[[RaylakeError | None], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    weight: int
    done: Done


class Ingest:
    """The queue of one registry in this process, and the thread that empties it. Safe in threads.

    Entries are written in the order in which they were submitted. A full queue makes `submit` wait: nothing is
    dropped. A refused entry (unknown run, changed parameter) refuses no other.
    """

    def __init__(self, url: str, capacity: int = CAPACITY) -> None:
        self._url, self._capacity, self._pid = url, capacity, os.getpid()
        self._waiting: deque[_Waiting] = deque()
        self._weight = 0  # of what waits and of what is being written
        self._submitted = self._finished = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="raylake-ingest", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, entry: Entry, done: Done, *, wait: bool = True) -> bool:
        """Queue an entry; `done` is called by the writing thread with what refused it, or ``None``.

        Args:
            entry: What to write. One that is larger than the whole queue is taken when the queue is empty.
            done: Must be quick and must not raise.
            wait: Wait while the queue is full; otherwise give up and return ``False``.

        Raises:
            StorageError: The queue has been closed.
        """
        weight = 1 + len(entry.points) + len(entry.params) + len(entry.tags)
        with self._changed:
            while self._weight and self._weight + weight > self._capacity and not self._closed:
                if not wait:
                    return False
                self._changed.wait()
            if self._closed:
                raise StorageError("the registry's queue is closed: this process is ending")
            self._waiting.append(_Waiting(entry, weight, done))
            self._weight += weight
            self._submitted += 1
            self._changed.notify_all()
        return True

    def flush(self) -> None:
        """Wait until everything submitted before this call has been written or refused."""
        with self._changed:
            target = self._submitted
            self._changed.wait_for(lambda: self._finished >= target)

    def close(self) -> None:
        """Write what waits and end the thread. A forked child's copy has no thread and nothing to write."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while batch := self._take():
            outcomes = _record(self._url, [each.entry for each in batch])
            for each, outcome in zip(batch, outcomes, strict=True):
                each.done(outcome)
            with self._changed:
                self._weight -= sum(each.weight for each in batch)
                self._finished += len(batch)
                self._changed.notify_all()

    def _take(self) -> list[_Waiting]:
        """What comes next; empty when the queue is closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[_Waiting] = []
            weight = 0
            while self._waiting and (not batch or weight + self._waiting[0].weight <= BATCH):
                batch.append(self._waiting.popleft())
                weight += batch[-1].weight
            return batch


class MetricWriter:
    """Logs metrics of one running run without waiting for the disk.

    `log` returns at once unless the queue is full. `flush` returns when everything logged so far is committed: from
    then on it survives a kill of this process. Leaving the ``with`` block, `close` and the end of the process flush.
    What was refused (the run has ended, is unknown) is raised by the next call.

    Example:
        >>> import tempfile
        >>> from raylake.registry import measurements, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first")
        >>> with MetricWriter(ws, fit.id) as writer:
        ...     for step in range(100):
        ...         writer.log({"loss": 1 / (step + 1)}, step=step)
        >>> len(measurements(ws, fit.id, "loss"))
        100
    """

    def __init__(self, ws: Workspace, run_id: str) -> None:
        self._ingest, self._run_id = ingest_of(ws), run_id
        self._refused: RaylakeError | None = None

    def log(self, metrics: Mapping[str, float], step: int = 0, at: datetime | None = None) -> None:
        """Queue values of one step; `at` is when they were measured, by default now.

        Raises:
            DataError: A value is not a number.
            NotFound: An earlier call was refused because the run is unknown.
            Conflict: An earlier call was refused because the run has ended or is deleted.
        """
        self._raise()
        entry = Entry(self._run_id, points=points_of(metrics, step, at), while_running=True)
        self._ingest.submit(entry, self._done)

    def flush(self) -> None:
        """Wait until everything logged so far is committed.

        Raises:
            NotFound: The run is unknown.
            Conflict: The run has ended, or is deleted.
            StorageError: The registry could not be written.
        """
        self._ingest.flush()
        self._raise()

    def close(self) -> None:
        """As `flush`."""
        self.flush()

    def __enter__(self) -> MetricWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ingest.flush()
        if error is None:
            self._raise()

    def _done(self, outcome: RaylakeError | None) -> None:
        if outcome is not None and self._refused is None:
            self._refused = outcome

    def _raise(self) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused


def ingest_of(ws: Workspace) -> Ingest:
    """The queue of a registry in this process."""
    return _ingest(ws.registry_url, os.getpid())


@cache
def _ingest(url: str, pid: int) -> Ingest:
    return Ingest(url)


def _record(url: str, entries: Sequence[Entry]) -> list[RaylakeError | None]:
    """Write all in one transaction; when that fails as a whole, each by itself, so that one spoils no other."""
    try:
        with transaction(url) as connection:
            return write(connection, entries)
    except StorageError as error:
        return [error] * len(entries)
    except RaylakeError as error:
        if len(entries) == 1:
            return [error]
        return [outcome for entry in entries for outcome in _record(url, [entry])]
