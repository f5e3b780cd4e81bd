"""Declared windowed aggregations, correct at every moment.

The value of a window at an event is computed over the events of the same entity in ``(event - over, event]``:
the event itself and others at the same instant count, one exactly `over` ago does not. What is known at a time t
between events is the value of the last event at or before t, offline and online alike; a view's `ttl` says for how
long that stays usable. (So the window does not shrink while nothing happens. That is the price of an answer that
needs one stored value per entity, and it is the same price in training and in serving.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from ..core import ConfigError, duration
from .dtypes import TIMESTAMP, cast_column, span_micros

_AGGREGATES = ("mean", "sum", "min", "max", "count")


@dataclass(frozen=True, slots=True)
class Rolling:
    """One aggregation of one column over the time before each event.

    Null, NaN and infinite cells count as absent: they are skipped, and a window with nothing else gives null
    (``count``: 0.0).

    Attributes:
        column: Numeric or boolean column of the (transformed) table.
        over: Length of the window, ``"3h"`` or a timedelta; the window is ``(event - over, event]``.
        agg: ``mean``, ``sum``, ``min``, ``max``, ``count`` (of cells that are there) or ``share_above:LIMIT``
            (share of the cells greater than LIMIT, 0 to 1).
        name: Name of the feature; by default ``<column>_<agg>_<over>``.

    Raises:
        ConfigError: Unknown aggregation or a span that is not positive.

    Example:
        >>> Rolling("dep_delay", over="3h", agg="share_above:15").name
        'dep_delay_share_above_15_3h'
    """

    column: str
    over: str | timedelta
    agg: str = "mean"
    name: str = ""

    def __post_init__(self) -> None:
        span = duration(self.over, "window")
        if self.agg not in _AGGREGATES and self.limit is None:
            raise ConfigError(
                f"aggregation {self.agg!r} is not known: use {', '.join(_AGGREGATES)} or share_above:LIMIT, "
                "e.g. share_above:15"
            )
        if not self.name:
            text = self.over if isinstance(self.over, str) else f"{int(span.total_seconds())}s"
            object.__setattr__(self, "name", f"{self.column}_{self.agg.replace(':', '_')}_{text}")
        object.__setattr__(self, "over", span)

    @property
    def limit(self) -> float | None:
        """LIMIT of ``share_above:LIMIT``, else None."""
        match = re.fullmatch(r"share_above:(-?\d+(?:\.\d+)?)", self.agg)
        return float(match[1]) if match else None

    @property
    def span(self) -> timedelta:
        """The window's length."""
        return duration(self.over, "window")

    def definition(self) -> dict[str, str | int]:
        """What decides the values, JSON-able."""
        return {"column": self.column, "over_us": span_micros(self.span), "agg": self.agg, "name": self.name}


def roll(
    table: pa.Table,
    windows: Sequence[Rolling],
    *,
    keys: Sequence[str],
    event_time: str,
    created_time: str | None = None,
) -> pa.Table:
    """Append one float64 column per window to `table`, rows and order unchanged.

    Args:
        table: Columns `keys` and `event_time` (timestamp[us, UTC], no nulls), and the windows' columns.
        windows: What to compute.
        keys: Columns that name the entity.
        event_time: When each event happened.
        created_time: When each row became known. With it, a row's created time becomes the latest of its longest
            window, so that a backfilled event is never used before it was known.

    Returns:
        `table` with the new columns (and the raised created time).

    Raises:
        SchemaMismatch: A window's column is not numeric.
    """
    if not windows:
        return table
    frame = _frame(table, windows, [*keys, event_time, *([created_time] if created_time else [])])
    computed = frame.select(
        *[_aggregate(window, index, event_time).over(keys).alias(window.name) for index, window in enumerate(windows)],
        *([_known(windows, event_time, created_time).over(keys).alias(created_time)] if created_time else []),
    )
    for window in windows:
        table = table.append_column(window.name, computed[window.name].to_arrow())
    if created_time:
        raised = computed[created_time].to_arrow().cast(TIMESTAMP)
        table = table.set_column(table.column_names.index(created_time), created_time, raised)
    return table


def _frame(table: pa.Table, windows: Sequence[Rolling], plain: Sequence[str]) -> pl.DataFrame:
    columns = {name: table[name] for name in plain}
    for index, window in enumerate(windows):
        columns[f"__{index}"] = cast_column(
            table[window.column], pa.float64(), window.column, f"window {window.name!r}"
        )
    frame = pl.DataFrame(pl.from_arrow(pa.table(columns)))
    finite = [pl.when(pl.col(f"__{i}").is_finite()).then(pl.col(f"__{i}")).alias(f"__{i}") for i in range(len(windows))]
    return frame.with_columns(finite)


def _aggregate(window: Rolling, index: int, event_time: str) -> pl.Expr:
    cells = pl.col(f"__{index}")
    over: dict[str, Any] = {"window_size": window.span, "closed": "right", "min_samples": 1}
    if window.limit is not None:
        return (cells > window.limit).cast(pl.Float64).rolling_mean_by(event_time, **over)
    if window.agg == "count":
        return cells.is_not_null().cast(pl.Float64).rolling_sum_by(event_time, **over)
    rolled: pl.Expr = getattr(cells, f"rolling_{window.agg}_by")(event_time, **over)
    return rolled


def _known(windows: Sequence[Rolling], event_time: str, created_time: str) -> pl.Expr:
    longest = max(window.span for window in windows)
    known = pl.max_horizontal(pl.col(event_time), pl.col(created_time)).cast(pl.Int64)
    return known.rolling_max_by(event_time, window_size=longest, closed="right", min_samples=1).cast(
        pl.Datetime("us", "UTC")
    )
