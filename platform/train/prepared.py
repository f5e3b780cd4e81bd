"""Rows of a pinned table as float32 inputs and labels, a span at a time: nothing holds the whole table."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core import Workspace
from ..data import FittedRecipe
from .labels import labels_of
from .matrix import prepare
from .row_groups import Filter, Group, PinnedTable

# Prepared row groups that a reader keeps: small sets are read and prepared once, whatever the number of passes.
CACHE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs float32 (n, columns) and labels float32 (n,); labels of classes are their numbers."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Part:
    """The training or the validation rows of a fit. Picklable; holds no rows.

    Attributes:
        ws: The workspace.
        table: Pinned table.
        columns: Input columns before the recipe.
        label: Label column.
        recipe: The fitted recipe as JSON, or ``""``.
        matrix_columns: Columns after the recipe.
        chosen: Which rows of the table.
        groups: The row groups that hold them.
        training: Whether the recipe was fitted on these rows.
        classes: The labels in the order of their numbers; empty for regression.
    """

    ws: Workspace
    table: str
    columns: tuple[str, ...]
    label: str
    recipe: str
    matrix_columns: tuple[str, ...]
    chosen: Filter
    groups: tuple[Group, ...]
    training: bool
    classes: tuple[int | str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(group.rows for group in self.groups)


class Reader:
    """Reads spans of a part's rows. Keeps prepared row groups while they fit `cache` bytes; not thread-safe.

    The `least` newest are kept whatever their size: one for each place that is read from in turn.

    Example:
        >>> from raylake.train.plan import make_plan
        >>> from raylake.train import prepared
        >>> part = make_plan(ws, spec).part(training=True)
        >>> rows = prepared.Reader(part).span(part.groups, 10, 14)
        >>> rows.inputs.shape == (4, len(part.matrix_columns)), rows.labels.shape
        (True, (4,))
    """

    def __init__(self, part: Part, cache: int = CACHE_BYTES, least: int = 1) -> None:
        self.part = part
        self._opened: PinnedTable | None = None
        self._recipe = FittedRecipe.from_json(part.recipe) if part.recipe else None
        self._kept: OrderedDict[Group, Rows] = OrderedDict()
        self._room, self._least = cache, least

    def table(self, group: Group, columns: Sequence[str]) -> pa.Table:
        """Columns of the meant rows of a row group, as they are stored."""
        if self._opened is None:
            self._opened = PinnedTable(self.part.ws, self.part.table)
        return self._opened.read(group, columns, self.part.chosen)

    def group(self, group: Group) -> Rows:
        """All meant rows of a row group, prepared."""
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        part = self.part
        table = self.table(group, [*part.columns, part.label])
        inputs = prepare(table.select(list(part.columns)), self._recipe, part.matrix_columns, training=part.training)
        found = Rows(inputs, labels_of(table.column(part.label), part.classes))
        self._keep(group, found)
        return found

    def span(self, order: Sequence[Group], start: int, stop: int) -> Rows:
        """Rows ``[start, stop)`` of the row groups, laid end to end in this order."""
        pieces = list(self.pieces(order, start, stop))
        if len(pieces) == 1:
            return pieces[0]
        inputs = [piece.inputs for piece in pieces] or [np.empty((0, len(self.part.matrix_columns)), np.float32)]
        labels = [piece.labels for piece in pieces] or [np.empty(0, np.float32)]
        return Rows(np.concatenate(inputs), np.concatenate(labels))

    def pieces(self, order: Sequence[Group], start: int, stop: int) -> Iterator[Rows]:
        """As `span`, a row group (or what the span has of it) at a time."""
        passed = 0
        for group in order:
            first, last = max(start - passed, 0), min(stop - passed, group.rows)
            passed += group.rows
            if first < last:
                found = self.group(group)
                yield Rows(found.inputs[first:last], found.labels[first:last])
            if passed >= stop:
                return

    def _keep(self, group: Group, rows: Rows) -> None:
        self._room -= rows.inputs.nbytes + rows.labels.nbytes
        self._kept[group] = rows
        while self._room < 0 and len(self._kept) > self._least:
            _, gone = self._kept.popitem(last=False)
            self._room += gone.inputs.nbytes + gone.labels.nbytes


def share(rows: int, rank: int, workers: int) -> tuple[int, int]:
    """First and last-but-one row of one of `workers` equal shares.

    Example:
        >>> [share(10, rank, 3) for rank in range(3)]
        [(0, 3), (3, 6), (6, 10)]
    """
    return rows * rank // workers, rows * (rank + 1) // workers
