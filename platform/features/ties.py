"""Rows of equal key, event and created time: which of them holds is decided by what they say, not by where they lie.

The order of a table's rows is not kept by deletions, merges and compaction, and the change feed does not show it. So
of such rows the one holds whose columns sort last, in the order in which the view names them; null sorts first.
Whoever wants the row that was written last to hold names a created time.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .view import FeatureView


def settle_ties(view: FeatureView, rows: pa.Table) -> pa.Table:
    """`rows` with those of equal key and times in the order of what they say, so that the last one holds.

    Args:
        view: The view.
        rows: Columns of its source (transformed), without null keys and event times.

    Example:
        >>> from datetime import datetime, timezone
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> seen = [datetime(2013, 1, 1, tzinfo=timezone.utc)] * 3
        >>> settle_ties(view, pa.table({"origin": ["EWR"] * 3, "at": seen, "temp": [41, 39, None]}))["temp"].to_pylist()
        [None, 39, 41]
    """
    times = {name: rows[name].cast(pa.int64()) for name in view.time_columns}
    if view.created_time is not None:
        times[view.created_time] = pc.coalesce(times[view.created_time], times[view.event_time])
    place = {**{name: _plain(rows[name]) for name in view.entity.keys}, **times}
    tied = pl.DataFrame(pl.from_arrow(pa.table(place))).is_duplicated().to_numpy()
    if not tied.any():
        return rows
    where = np.flatnonzero(tied)
    told = [*view.columns, *(name for window in view.window for name in window.inputs)]
    columns = {name: _plain(rows[name].take(pa.array(where))) for name in dict.fromkeys(told)}
    columns = {name: column for name, column in columns.items() if not pa.types.is_nested(column.type)}
    order = pl.DataFrame(pl.from_arrow(pa.table(columns))).with_row_index("__place__")
    order = order.sort([*columns, "__place__"], nulls_last=False)
    return rows.take(pa.array(np.concatenate([np.flatnonzero(~tied), where[order["__place__"].to_numpy()]])))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
