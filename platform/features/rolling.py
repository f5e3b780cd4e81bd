"""Windows computed: over all rows by event, and over what was known at each moment.

With created times the answer at a moment k is a window over the rows known at k that ends with the last event known
at k, so an entity has at most one answer per row. Where every row of such a window was known at k already, it is the
window over all rows, which polars rolls fast; only the others (rows late behind their neighbours) are put together
one by one, in chunks of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ..data.batches import mask_of
from .as_of import KNOWN, ROW, known_rows
from .dtypes import TIMESTAMP, cast_column, require_columns, span_micros
from .windows import Rolling

PAIRS = 4_000_000  # rows of windows that are put together at once
_ANY_TYPE = ("count", "distinct", "last")
_GROUP, _EVENT, _CREATED = "__group__", "__at__", "__created__"
Integers = np.ndarray[Any, np.dtype[np.int64]]


def roll_by_event(table: pa.Table, windows: Sequence[Rolling], keys: Sequence[str], event_time: str) -> pa.Table:
    """`raylake.features.windows.roll` without a created time."""
    rolled = _rolled(_frame(table, windows, keys, event_time), windows)
    for window, column in zip(windows, rolled, strict=True):
        table = table.append_column(window.name, column)
    return table


def roll_by_knowledge(
    table: pa.Table, windows: Sequence[Rolling], keys: Sequence[str], event_time: str, created_time: str
) -> pa.Table:
    """`raylake.features.windows.roll` with a created time."""
    frame = _frame(table, windows, keys, event_time)
    created = pc.coalesce(table[created_time], table[event_time]).cast(pa.int64())
    frame = frame.with_columns(pl.Series(_CREATED, created))
    order = _Order(frame)
    answers = known_rows(table, keys, event_time, created_time)
    answers = answers.unique(subset=[*keys, KNOWN], keep="last", maintain_order=True)
    winners, moments = answers[ROW].to_numpy(), answers[KNOWN].to_numpy()
    made = table.take(pa.array(winners))
    place = table.column_names.index(created_time)
    made = made.set_column(place, created_time, pa.array(moments, pa.int64()).cast(TIMESTAMP))
    columns = [column.take(pa.array(winners)) for column in _rolled(frame, windows)]
    for span in {window.span for window in windows}:  # windows of one length have the same rows
        late = np.flatnonzero(order.last_known(span)[winners] > moments)
        if len(late):
            chosen = [index for index, window in enumerate(windows) if window.span == span]
            exact = _late(frame, order, windows, chosen, winners[late], moments[late])
            places = np.arange(len(winners))
            places[late] = len(winners) + np.arange(len(late))
            for index in chosen:
                later = exact[index].cast(columns[index].type)
                columns[index] = pa.concat_arrays([columns[index], later]).take(pa.array(places))
    for window, column in zip(windows, columns, strict=True):
        made = made.append_column(window.name, column)
    return made


class _Order:
    """Rows by group and event, in which a window is a range."""

    def __init__(self, frame: pl.DataFrame) -> None:
        groups, events, created = (frame[name].to_numpy() for name in (_GROUP, _EVENT, _CREATED))
        self.known = np.maximum(events, created)
        self.rows = np.lexsort((created, events, groups))
        self._times, ranks = np.unique(events, return_inverse=True)
        self._step = len(self._times) + 1
        self._places = (groups * self._step + ranks)[self.rows]  # ascending
        self._groups, self._events = groups, events

    def ranges(self, rows: Integers, span: timedelta) -> tuple[Integers, Integers]:
        """First and end of the window that ends with each row's event, as places in `rows` of this object."""
        start = np.searchsorted(self._times, self._events[rows] - span_micros(span), "right")
        end = np.searchsorted(self._times, self._events[rows], "right")
        base = self._groups[rows] * self._step
        return np.searchsorted(self._places, base + start), np.searchsorted(self._places, base + end)

    def last_known(self, span: timedelta) -> Integers:
        """For each row, when the last row of the window that ends with its event became known."""
        frame = pl.DataFrame({_GROUP: self._groups, _EVENT: self._events, KNOWN: self.known})
        size = f"{span_micros(span)}i"
        latest = pl.col(KNOWN).rolling_max_by(_EVENT, window_size=size, closed="right").over(_GROUP)
        return frame.select(latest)[KNOWN].to_numpy()


def _late(
    frame: pl.DataFrame,
    order: _Order,
    windows: Sequence[Rolling],
    chosen: Sequence[int],
    rows: Integers,
    moments: Integers,
) -> dict[int, pa.Array]:
    """The `chosen` windows, all of one length, that end with each of `rows`, over what was known at `moments`."""
    parts = []
    cells = frame.select(f"__{index}" for index in chosen)
    aggregates = [_over_cells(windows[index], pl.col(f"__{index}")).alias(f"__{index}") for index in chosen]
    ranges = order.ranges(rows, windows[chosen[0]].span)
    for chunk in _chunks(ranges):
        first, end = (side[chunk] for side in ranges)
        sizes = end - first
        owner = np.repeat(np.arange(len(sizes)), sizes)
        inside = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(first, sizes)
        members = order.rows[inside]
        there = order.known[members] <= moments[chunk][owner]
        pairs = cells[members[there]].with_columns(pl.Series("owner", owner[there]))
        parts.append(pairs.group_by("owner", maintain_order=True).agg(aggregates))
    made = pl.concat(parts)
    return {index: _arrow(made[f"__{index}"]) for index in chosen}


def _chunks(ranges: tuple[Integers, Integers]) -> Iterator[slice]:
    total = np.cumsum(ranges[1] - ranges[0])
    start = 0
    while start < len(total):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + PAIRS, "right")))
        yield slice(start, stop)
        start = stop


def _frame(table: pa.Table, windows: Sequence[Rolling], keys: Sequence[str], event_time: str) -> pl.DataFrame:
    """Group number, event (µs) and, per window, its cells: null where a cell does not count."""
    require_columns(table, dict.fromkeys(name for window in windows for name in window.inputs), "windows")
    columns = {key: table[key] for key in keys} | dict.fromkeys((_EVENT, _CREATED), table[event_time].cast(pa.int64()))
    for index, window in enumerate(windows):
        columns[f"__{index}"] = _cells(table, window)
    frame = pl.DataFrame(pl.from_arrow(pa.table(columns)))
    if not len(frame):
        return frame.with_columns(pl.lit(0, pl.Int64).alias(_GROUP))
    groups = frame.select(pl.struct(list(keys)).rank("dense").cast(pl.Int64).alias(_GROUP))
    return frame.hstack(groups)


def _cells(table: pa.Table, window: Rolling) -> pa.ChunkedArray:
    column = table[window.column]
    if window.agg not in _ANY_TYPE:
        column = cast_column(column, pa.float64(), window.column, f"window {window.name!r}")
    elif pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    absent = None
    if pa.types.is_floating(column.type):
        absent = pc.invert(pc.is_finite(column))
    if window.where:
        conditions = [(c, o, list(v) if isinstance(v, tuple) else v) for c, o, v in window.where]
        outside = pa.chunked_array([~mask_of(table.select(list(window.inputs)), conditions)])
        absent = outside if absent is None else pc.or_kleene(absent, outside)
    if absent is None:
        return column
    return pc.if_else(pc.fill_null(absent, True), pa.scalar(None, column.type), column)


def _rolled(frame: pl.DataFrame, windows: Sequence[Rolling]) -> list[pa.Array]:
    """Each window at each row, over all rows of its group."""
    fast = {w.name: _by_event(w, i).over(_GROUP) for i, w in enumerate(windows) if w.agg not in ("distinct", "last")}
    quick = frame.select(**fast)
    made = [quick[w.name] if w.name in fast else _generic(frame, w, i) for i, w in enumerate(windows)]
    return [_arrow(column) for column in made]


def _by_event(window: Rolling, index: int) -> pl.Expr:
    cells = pl.col(f"__{index}")
    over: dict[str, Any] = {"window_size": f"{span_micros(window.span)}i", "closed": "right", "min_samples": 1}
    if window.limit is not None:
        return (cells > window.limit).cast(pl.Float64).rolling_mean_by(_EVENT, **over)
    if window.agg == "count":
        return cells.is_not_null().cast(pl.Float64).rolling_sum_by(_EVENT, **over)
    rolled: pl.Expr = getattr(cells, f"rolling_{window.agg}_by")(_EVENT, **over)
    return rolled


def _generic(frame: pl.DataFrame, window: Rolling, index: int) -> pl.Series:
    cell = pl.col(f"__{index}")
    ordered = frame.select(_GROUP, _EVENT, _CREATED, cell).with_row_index("__place__")
    ordered = ordered.sort([_GROUP, _EVENT, _CREATED, "__place__"])
    rolling = ordered.rolling(_EVENT, period=f"{span_micros(window.span)}i", closed="right", group_by=_GROUP)
    made = rolling.agg(_over_cells(window, cell).alias("cell"))
    return made.hstack(ordered.select("__place__")).sort("__place__")["cell"]


def _over_cells(window: Rolling, cell: pl.Expr) -> pl.Expr:
    """The aggregate of a window's cells as a plain aggregation."""
    there = cell.drop_nulls()
    if window.limit is not None:
        return (there > window.limit).cast(pl.Float64).mean()
    if window.agg == "count":
        return cell.count().cast(pl.Float64)
    if window.agg == "distinct":
        return there.n_unique().cast(pl.Float64)
    if window.agg == "sum":
        return pl.when(cell.count() > 0).then(cell.sum())
    made: pl.Expr = getattr(there, window.agg)()
    return made


def _arrow(column: pl.Series) -> pa.Array:
    found = column.to_arrow()
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    kind = found.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return found.cast(pa.string())
    return found
