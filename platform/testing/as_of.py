"""Brute-force oracles for point-in-time joins and windows: slow, short, obviously right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Row = Mapping[str, Any]


def as_of_oracle(
    label: Row,
    values: Sequence[Row],
    *,
    keys: Sequence[str],
    label_time: str,
    event_time: str,
    columns: Sequence[str],
    ttl: timedelta | None = None,
    created_time: str | None = None,
) -> dict[str, Any]:
    """The feature values that `raylake.features.join_as_of` must give one label, by looking at every row.

    Args:
        label: Keys and time of the label; times are aware datetimes or None.
        values: All value rows.
        keys: Key columns.
        label_time: Time column of the label.
        event_time: Event time column of the values.
        columns: Columns wanted.
        ttl: Largest age, or None.
        created_time: Created time column, or None.

    Returns:
        ``{column: value or None}``.

    Example:
        >>> from datetime import timezone
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> rows = [{"k": 1, "e": at(6), "x": 1.0}, {"k": 1, "e": at(8), "x": 2.0}]
        >>> as_of_oracle({"k": 1, "t": at(7)}, rows, keys=["k"], label_time="t", event_time="e", columns=["x"])
        {'x': 1.0}
    """
    now = label[label_time]
    best: tuple[datetime, datetime, int] | None = None
    nothing = dict.fromkeys(columns)
    if now is None or any(label[key] is None for key in keys):
        return nothing
    for index, row in enumerate(values):
        event = row[event_time]
        if event is None or any(row[key] != label[key] for key in keys):
            continue
        created = (row[created_time] if created_time else None) or event
        if event <= now and created <= now and (best is None or (event, created, index) > best):
            best = (event, created, index)
    if best is None or (ttl is not None and now - best[0] > ttl):
        return nothing
    return {column: values[best[2]][column] for column in columns}


def window_oracle(
    row: Row, rows: Sequence[Row], *, keys: Sequence[str], event_time: str, column: str, over: timedelta, agg: str
) -> float | None:
    """The value that one `raylake.features.Rolling` must have at `row`, by looking at every row.

    Example:
        >>> rows = [{"k": 1, "t": datetime(2013, 1, 1, h), "x": float(h)} for h in (1, 2, 4)]
        >>> window_oracle(rows[2], rows, keys=["k"], event_time="t", column="x", over=timedelta(hours=3), agg="sum")
        6.0
    """
    now = row[event_time]
    cells = [
        other[column]
        for other in rows
        if all(other[key] == row[key] for key in keys)
        and now - over < other[event_time] <= now
        and other[column] is not None
        and math.isfinite(other[column])
    ]
    if agg == "count":
        return float(len(cells))
    if not cells:
        return None
    if agg.startswith("share_above:"):
        limit = float(agg.partition(":")[2])
        return sum(1.0 for cell in cells if cell > limit) / len(cells)
    answers: dict[str, float] = {"sum": math.fsum(cells), "min": min(cells), "max": max(cells)}
    return answers["sum"] / len(cells) if agg == "mean" else answers[agg]
