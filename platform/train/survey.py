"""What a fit must know of all rows of its table, found without holding them: counts, split, classes, a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pds
from numpy.typing import NDArray

from ..core import Workspace
from ..data import read
from ..data.scan import in_parts
from .labels import LabelFacts
from .row_groups import Filter, Group, PinnedTable, count_groups

MOMENT = pa.timestamp("us", tz="UTC")
FEW_MOMENTS = 1_000_000  # event times that are sorted in memory
_BINS = 4096
_BATCH_ROWS = 131_072

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Facts:
    """Of some rows.

    Attributes:
        label: What their labels say.
        moment_nulls: Event times that are missing.
        ends: Oldest and newest event time in microseconds, or ``None`` without any.
    """

    label: LabelFacts
    moment_nulls: int = 0
    ends: tuple[int, int] | None = None

    @classmethod
    def of(cls, rows: pa.Table | pa.RecordBatch, label: str, moment: str) -> Facts:
        """Of these rows."""
        stamps = _stamps(rows.column(moment))
        ends = (int(stamps.min()), int(stamps.max())) if len(stamps) else None
        return cls(LabelFacts.of(rows.column(label)), rows.column(moment).null_count, ends)

    def merge(self, other: Facts) -> Facts:
        """The facts of both."""
        ends = [end for end in (self.ends, other.ends) if end is not None]
        return Facts(
            self.label.merge(other.label),
            self.moment_nulls + other.moment_nulls,
            (min(end[0] for end in ends), max(end[1] for end in ends)) if ends else None,
        )

    @property
    def rows(self) -> int:
        """Their number."""
        return self.label.rows

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Oldest and newest event time."""
        if self.ends is None:
            raise ValueError("no row has an event time")
        return as_moment(self.ends[0]), as_moment(self.ends[1])


class Survey:
    """Passes over one pinned table: in threads while it is small, in Ray tasks beyond."""

    def __init__(self, ws: Workspace, table: str) -> None:
        self._ws = ws
        self.pinned = PinnedTable(ws, table)

    def facts(self, label: str, moment: str, chosen: Filter = None) -> Facts:
        """Facts of the meant rows."""
        work = _Facts(self.pinned.schema, label, moment, chosen)
        return reduce(Facts.merge, self._parts(work), Facts.of(self.pinned.schema.empty_table(), label, moment))

    def facts_of(self, label: str, moment: str, groups: Sequence[Group], chosen: Filter) -> Facts:
        """As `facts`, of the rows that stay in the row groups, read one after the other in this process."""
        nothing = self.pinned.schema.empty_table()
        parts = (self.pinned.read(group, list(dict.fromkeys((label, moment))), chosen) for group in groups)
        return reduce(Facts.merge, (Facts.of(part, label, moment) for part in parts), Facts.of(nothing, label, moment))

    def groups(self, chosen: Filter) -> tuple[Group, ...]:
        """The row groups that hold meant rows, in the table's order."""
        numbered = {fragment.path: number for number, fragment in enumerate(self.pinned.files)}
        found = [group for part in self._parts(_Groups(self.pinned.schema, numbered, chosen)) for group in part]
        return tuple(sorted(found, key=lambda group: (group.file, group.index)))

    def dataset(self, columns: Sequence[str], chosen: Filter) -> Any:
        """Columns of the meant rows as a Ray Dataset."""
        return read(self._ws, str(self.pinned.ref), columns=list(columns), filter=chosen)

    def moment_at(self, moment: str, rank: int, facts: Facts) -> int:
        """The event time, in microseconds, at place `rank` of all in ascending order.

        Counts in bins, then in the bins of that bin, until few enough are left to be sorted.
        """
        if facts.ends is None:
            raise ValueError("no row has an event time")
        low, high, count = facts.ends[0], facts.ends[1] + 1, facts.rows
        while count > FEW_MOMENTS and high - low > 1:
            edges = np.unique(np.linspace(low, high, _BINS + 1).astype(np.int64))
            counts = np.sum(list(self._parts(_Histogram(self.pinned.schema, moment, edges))), axis=0)
            before = np.concatenate([[0], np.cumsum(counts)])
            chosen = int(np.searchsorted(before, rank, side="right")) - 1
            rank, count = rank - int(before[chosen]), int(counts[chosen])
            low, high = int(edges[chosen]), int(edges[chosen + 1])
        if high - low <= 1:
            return low
        found = np.concatenate(list(self._parts(_Moments(self.pinned.schema, moment, low, high))))
        return int(np.sort(found)[rank])

    def take(self, columns: Sequence[str], groups: Sequence[Group], chosen: Filter, places: NDArray[Any]) -> pa.Table:
        """Rows at `places` (ascending) of the meant rows of the row groups, laid end to end."""
        wanted: dict[int, list[tuple[Group, NDArray[Any]]]] = {}
        ends = np.cumsum([group.rows for group in groups])
        for group, end in zip(groups, ends, strict=True):
            first, last = np.searchsorted(places, [end - group.rows, end])
            if first < last:
                wanted.setdefault(group.file, []).append((group, places[first:last] - (end - group.rows)))
        files = {self.pinned.files[number].path: found for number, found in wanted.items()}
        work = _Take(self.pinned.schema, tuple(columns), chosen, files)
        parts = dict(pair for part in self._parts(work, sorted(wanted)) for pair in part)
        empty = pa.schema([self.pinned.schema.field(name) for name in columns]).empty_table()
        return pa.concat_tables([empty, *(parts[path] for path in sorted(parts))])

    def _parts(self, work: Callable[[list[Any]], Found], files: Sequence[int] | None = None) -> Iterable[Found]:
        fragments = [
            self.pinned.files[number] for number in (range(len(self.pinned.files)) if files is None else files)
        ]
        return in_parts(self._ws, self.pinned.ref, fragments, work)


def as_moment(stamp: int) -> datetime:
    """The moment (UTC) of microseconds since 1970."""
    found: datetime = pa.scalar(stamp, pa.int64()).cast(MOMENT).as_py()
    return found


def _batches(part: list[Any], schema: pa.Schema, columns: list[str], chosen: Filter) -> Iterable[pa.RecordBatch]:
    dataset = pds.FileSystemDataset(part, schema, pds.ParquetFileFormat())
    scanner = dataset.scanner(columns=columns, filter=chosen, use_threads=False, batch_size=_BATCH_ROWS)
    return (batch for batch in scanner.to_batches() if batch.num_rows)


def _stamps(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.drop_null().cast(MOMENT).cast(pa.int64()))


# The works of the passes are values, so that they travel to Ray tasks.
@dataclass(frozen=True, slots=True)
class _Facts:
    schema: pa.Schema
    label: str
    moment: str
    chosen: Filter

    def __call__(self, part: list[Any]) -> Facts:
        found = Facts.of(self.schema.empty_table(), self.label, self.moment)
        for batch in _batches(part, self.schema, list(dict.fromkeys((self.label, self.moment))), self.chosen):
            found = found.merge(Facts.of(batch, self.label, self.moment))
        return found


@dataclass(frozen=True, slots=True)
class _Groups:
    schema: pa.Schema
    numbered: dict[str, int]
    chosen: Filter

    def __call__(self, part: list[Any]) -> list[Group]:
        return [
            group
            for fragment in part
            for group in count_groups(self.numbered[fragment.path], fragment, self.schema, self.chosen)
        ]


@dataclass(frozen=True, slots=True)
class _Histogram:
    schema: pa.Schema
    moment: str
    edges: NDArray[np.int64]

    def __call__(self, part: list[Any]) -> NDArray[np.int64]:
        counts = np.zeros(len(self.edges) - 1, np.int64)
        for batch in _batches(part, self.schema, [self.moment], None):
            stamps = _stamps(batch.column(self.moment))
            inside = stamps[(stamps >= self.edges[0]) & (stamps < self.edges[-1])]
            counts += np.bincount(np.searchsorted(self.edges, inside, side="right") - 1, minlength=len(counts))
        return counts


@dataclass(frozen=True, slots=True)
class _Moments:
    schema: pa.Schema
    moment: str
    low: int
    high: int

    def __call__(self, part: list[Any]) -> NDArray[np.int64]:
        found = [np.empty(0, np.int64)]
        for batch in _batches(part, self.schema, [self.moment], None):
            stamps = _stamps(batch.column(self.moment))
            found.append(stamps[(stamps >= self.low) & (stamps < self.high)])
        return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class _Take:
    schema: pa.Schema
    columns: tuple[str, ...]
    chosen: Filter
    files: dict[str, list[tuple[Group, NDArray[Any]]]]

    def __call__(self, part: list[Any]) -> list[tuple[str, pa.Table]]:
        return [(fragment.path, self._of(fragment)) for fragment in part]

    def _of(self, fragment: Any) -> pa.Table:
        taken = []
        for group, places in self.files[fragment.path]:
            one = fragment.subset(row_group_ids=[group.index])
            dataset = pds.FileSystemDataset([one], self.schema, pds.ParquetFileFormat())
            rows = dataset.to_table(columns=list(self.columns), filter=self.chosen, use_threads=False)
            taken.append(group.stay(rows).take(pa.array(places)))
        return pa.concat_tables(taken)
