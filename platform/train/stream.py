"""Batches of a pinned table for networks: shuffled by the seed, shared by any number of workers, seekable.

The order of rows does not depend on the number of workers. An epoch permutes the row groups, lays their rows end to
end and cuts them into *lanes* of equal length; a batch takes the same number of rows from each lane; a worker reads
its own lanes only. So one worker and eight see the same batches, and a run goes on with another number of workers
where it stopped (as "elastic determinism" in MosaicML's StreamingDataset,
https://docs.mosaicml.com/projects/streaming/en/stable/distributed_training/elastic_determinism.html). Inside a lane
rows are shuffled within windows. A window is found by its number alone, so that a position is reached by reading one
window, not by replaying the epoch.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..core import ConfigError, DataError
from .prepared import Part, Reader, Rows
from .row_groups import Group

T = TypeVar("T")
LANES = 8
SHUFFLE_ROWS = 65_536  # rows of all lanes together among which rows change places


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run is: the next batch to be trained on.

    Attributes:
        epoch: Zero-based pass over the rows.
        step: Zero-based batch within it.
    """

    epoch: int = 0
    step: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A worker's rows of one batch.

    Attributes:
        position: Which batch.
        rows: This worker's rows.
        total: Rows of the batch, all workers together.
    """

    position: Position
    rows: Rows
    total: int


class Stream:
    """The batches of a part.

    Args:
        part: Which rows.
        batch: Rows of a batch, all workers together.
        seed: Seed of the order; ``None`` reads in the table's order.
        rank: This worker among those that share the rows.
        workers: How many they are.
        lanes: Lanes of an epoch; by default 8, or more where there are more workers.

    Attributes:
        steps: Batches of an epoch, the last of which may be smaller.

    Raises:
        ConfigError: The batch cannot be split over the workers.
        DataError: There are fewer rows than workers.

    Example:
        >>> from raylake.train.plan import make_plan
        >>> part = make_plan(ws, spec).part(training=True)
        >>> one = next(Stream(part, 64, 0).batches())
        >>> halves = [next(Stream(part, 64, 0, rank, 2).batches()) for rank in range(2)]
        >>> sorted(one.rows.labels) == sorted([*halves[0].rows.labels, *halves[1].rows.labels])
        True
    """

    def __init__(
        self, part: Part, batch: int, seed: int | None, rank: int = 0, workers: int = 1, lanes: int | None = None
    ) -> None:
        self.part, self._seed, self._workers = part, seed, workers
        self._lanes = lanes_of(batch, workers, part.rows) if lanes is None else lanes
        self._mine = range(self._lanes)[rank::workers]
        self._each = batch // self._lanes  # rows that a batch takes from a lane
        self._length = part.rows // self._lanes  # rows of a lane
        self._window = max(1, SHUFFLE_ROWS // self._lanes // self._each) * self._each
        self.steps = -(-self._length // self._each)
        # Lanes are read in turn: without the row group of each, every window would be decoded anew.
        self._reader = Reader(part, least=len(self._mine) + 1)

    @property
    def share(self) -> float:
        """This worker's rows of a batch times the number of workers, over all its rows: 1 when all have as many."""
        return len(self._mine) * self._workers / self._lanes

    def batches(self, start: Position = Position(), epochs: int = 1) -> Iterator[Batch]:
        """Batches from `start` to the end of epoch ``epochs - 1``; the next window is read while one is used."""
        yield from _ahead(self._windows(start, epochs))

    def _windows(self, start: Position, epochs: int) -> Iterator[list[Batch]]:
        per_window = self._window // self._each
        for epoch in range(start.epoch, epochs):
            order = self._order(epoch)
            first = start.step if epoch == start.epoch else 0
            for window in range(first // per_window, -(-self.steps // per_window)):
                found = self._load(order, epoch, window)
                yield found[max(0, first - window * per_window) :]

    def _order(self, epoch: int) -> Sequence[Group]:
        if self._seed is None:
            return self.part.groups
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self.part.groups))
        return [self.part.groups[index] for index in order]

    def _load(self, order: Sequence[Group], epoch: int, window: int) -> list[Batch]:
        """The batches of a window of every lane of ours."""
        begin = window * self._window
        count = min(self._window, self._length - begin)
        lanes = [self._lane(order, epoch, window, lane, begin, count) for lane in self._mine]
        found = []
        for step, first in enumerate(range(0, count, self._each)):
            cut = [(rows.inputs[first : first + self._each], rows.labels[first : first + self._each]) for rows in lanes]
            inputs, labels = zip(*cut, strict=True)
            rows = Rows(np.concatenate(inputs), np.concatenate(labels))
            total = min(self._each, count - first) * self._lanes
            found.append(Batch(Position(epoch, begin // self._each + step), rows, total))
        return found

    def _lane(self, order: Sequence[Group], epoch: int, window: int, lane: int, begin: int, count: int) -> Rows:
        start = lane * self._length + begin
        rows = self._reader.span(order, start, start + count)
        if self._seed is None:
            return rows
        mixed = np.random.default_rng((self._seed, epoch, lane, window)).permutation(count)
        return Rows(rows.inputs[mixed], rows.labels[mixed])


def lanes_of(batch: int, workers: int, rows: int) -> int:
    """Lanes for batches of this size: the largest number up to 8, or up to the number of workers, that divides it.

    Raises:
        ConfigError: The batch cannot be split over the workers.
        DataError: There are fewer rows than workers.

    Example:
        >>> lanes_of(1024, 2, 10**6), lanes_of(100, 2, 10**6), lanes_of(1024, 64, 10**6)
        (8, 5, 64)
    """
    most = min(max(LANES, workers), rows)
    found = next((lanes for lanes in range(most, 0, -1) if batch % lanes == 0), 0)
    if rows < workers:
        raise DataError(f"{rows} rows cannot be shared by {workers} workers: use fewer workers for so few rows")
    if found < workers:
        raise ConfigError(
            f"batch_size={batch} cannot be split over {workers} workers: use a multiple of {workers} (all workers "
            "together train on one batch)"
        )
    return found


def _ahead(windows: Iterator[list[Batch]]) -> Iterator[Batch]:
    """The batches, with one window read ahead by a thread; an error of the thread is raised where it is noticed."""
    ready: queue.Queue[list[Batch] | BaseException | None] = queue.Queue(maxsize=1)
    stopped = threading.Event()

    def put(found: list[Batch] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(found, timeout=0.1)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for window in windows:
                put(window)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 (raised again by the reader of the queue)
            put(error)

    thread = threading.Thread(target=read, name="raylake-stream", daemon=True)
    thread.start()
    try:
        while (found := ready.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield from found
    finally:
        stopped.set()
        thread.join()


def timed(batches: Iterator[T], tell: Callable[[float], None]) -> Iterator[T]:
    """The batches, and `tell` is called with the seconds that each was waited for."""
    while True:
        before = time.perf_counter()
        batch = next(batches, None)
        tell(time.perf_counter() - before)
        if batch is None:
            return
        yield batch
