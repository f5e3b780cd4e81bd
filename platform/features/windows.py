"""Declared windowed aggregations, correct at every moment.

The value of a window at an event is computed over the events of the same entity in ``(event - over, event]``:
the event itself and others at the same instant count, one exactly `over` ago does not. What is known at a time t
between events is the value at the last event that was known at t, offline and online alike; a view's `ttl` says for
how long that stays usable. (So the window does not shrink while nothing happens. That is the price of an answer that
needs one stored value per entity, and it is the same price in training and in serving.)

With a created time only rows count that were known at t, the event that the window ends with included. A row that
becomes known late changes the value from then on, and nothing before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from ..core import ConfigError, duration
from ..data.read import as_expression
from .dtypes import span_micros

AGGREGATES = ("mean", "sum", "min", "max", "std", "count", "distinct", "last")


@dataclass(frozen=True, slots=True)
class Rolling:
    """One aggregation of one column over the time before each event.

    Null, NaN and infinite cells count as absent: they are skipped, and a window with nothing else gives null
    (``count`` and ``distinct``: 0.0).

    Attributes:
        column: Column of the (transformed) table; numeric or boolean, but for ``count``, ``distinct`` and ``last`` of
            any type.
        over: Length of the window, ``"3h"`` or a timedelta; the window is ``(event - over, event]``.
        agg: ``mean``, ``sum``, ``min``, ``max``, ``std`` (of the sample; null for a single cell), ``count`` (of cells
            that are there), ``distinct`` (different cells), ``last`` (cell of the last event that has one; declare
            its type in the view's `types`) or ``share_above:LIMIT`` (share of the cells greater than LIMIT, 0 to 1).
        name: Name of the feature; by default ``<column>_<agg>_<over>``.
        where: Only rows that this means, in the list form of `raylake.data.delete`: ``[("carrier", "==", "UA")]``.

    Raises:
        ConfigError: Unknown aggregation, a span that is not positive, or a `where` that is no list of conditions.

    Example:
        >>> Rolling("dep_delay", over="3h", agg="share_above:15").name
        'dep_delay_share_above_15_3h'
        >>> Rolling("flight", over="1d", agg="count", name="jfk", where=[("origin", "==", "JFK")]).where
        (('origin', '==', 'JFK'),)
    """

    column: str
    over: str | timedelta
    agg: str = "mean"
    name: str = ""
    where: Sequence[Any] = ()

    def __post_init__(self) -> None:
        span = duration(self.over, "window")
        if self.agg not in AGGREGATES and self.limit is None:
            raise ConfigError(
                f"aggregation {self.agg!r} is not known: use {', '.join(AGGREGATES)} or share_above:LIMIT, "
                "e.g. share_above:15"
            )
        if not self.name:
            text = self.over if isinstance(self.over, str) else f"{int(span.total_seconds())}s"
            object.__setattr__(self, "name", f"{self.column}_{self.agg.replace(':', '_')}_{text}")
        object.__setattr__(self, "over", span)
        object.__setattr__(self, "where", _conditions(self.where, self.name))

    @property
    def limit(self) -> float | None:
        """LIMIT of ``share_above:LIMIT``, else None."""
        match = re.fullmatch(r"share_above:(-?\d+(?:\.\d+)?)", self.agg)
        return float(match[1]) if match else None

    @property
    def span(self) -> timedelta:
        """The window's length."""
        return duration(self.over, "window")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that are read: the aggregated one and those of `where`."""
        return tuple(dict.fromkeys([self.column, *(name for name, _, _ in self.where)]))

    def definition(self) -> dict[str, Any]:
        """What decides the values, JSON-able."""
        made: dict[str, Any] = {
            "column": self.column, "over_us": span_micros(self.span), "agg": self.agg, "name": self.name,
        }  # fmt: skip
        return made | ({"where": [list(one) for one in self.where]} if self.where else {})


def roll(
    table: pa.Table,
    windows: Sequence[Rolling],
    *,
    keys: Sequence[str],
    event_time: str,
    created_time: str | None = None,
) -> pa.Table:
    """The windows of `table` at every moment at which one of them changes.

    Args:
        table: Columns `keys` and `event_time` (timestamp[us, UTC], no nulls), and the windows' columns.
        windows: What to compute.
        keys: Columns that name the entity.
        event_time: When each event happened.
        created_time: When each row became known.

    Returns:
        Without `created_time`: `table` with one column per window appended, rows and order unchanged. With it: one
        row per moment at which rows of an entity became known, in the order of these moments: the row of the last
        event known then, its windows over what was known then, and that moment as its created time. So the row that
        `join_as_of` picks at any time t is right for t.

    Raises:
        SchemaMismatch: A window's column is missing or cannot be aggregated like that.

    Example:
        >>> from datetime import datetime, timezone
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> rows = pa.table({"k": ["a"] * 3, "e": [at(1), at(2), at(3)], "c": [at(1), at(9), at(3)], "x": [1, 5, 3]})
        >>> total = Rolling("x", over="3h", agg="sum", name="total")
        >>> roll(rows, [total], keys=["k"], event_time="e")["total"].to_pylist()
        [1.0, 6.0, 9.0]
        >>> [(r["e"].hour, r["c"].hour, r["total"]) for r in
        ...     roll(rows, [total], keys=["k"], event_time="e", created_time="c").to_pylist()]
        [(1, 1, 1.0), (3, 3, 4.0), (3, 9, 9.0)]
    """
    from .rolling import roll_by_event, roll_by_knowledge

    if not windows:
        return table
    if created_time is None:
        return roll_by_event(table, windows, keys, event_time)
    return roll_by_knowledge(table, windows, keys, event_time, created_time)


def _conditions(where: Sequence[Any], name: str) -> tuple[tuple[Any, ...], ...]:
    told = f"window {name!r}: where={where!r} is not valid: use conditions such as [('carrier', '==', 'UA')]"
    if isinstance(where, str) or not all(isinstance(one, Sequence) and len(one) == 3 for one in where):
        raise ConfigError(told)
    made = tuple(tuple(tuple(cell) if isinstance(cell, list) else cell for cell in one) for one in where)
    plain = (str, int, float, bool)
    for column, operator, value in made:
        values = value if isinstance(value, tuple) else (value,)
        if (
            not isinstance(column, str)
            or not isinstance(operator, str)
            or not all(isinstance(v, plain) for v in values)
        ):
            raise ConfigError(told)
    try:
        as_expression([tuple(one) for one in made] or None)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{told} ({error})") from error
    return made
