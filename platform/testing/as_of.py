"""Brute-force oracles for point-in-time joins and windows: slow, short, obviously right."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
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
    row: Row,
    rows: Sequence[Row],
    *,
    keys: Sequence[str],
    event_time: str,
    column: str,
    over: timedelta,
    agg: str,
    where: Callable[[Row], bool] = lambda row: True,
) -> Any:
    """The value that one `raylake.features.Rolling` must have at `row`, by looking at every row.

    Rows of one event time count in the order of `rows`.

    Example:
        >>> rows = [{"k": 1, "t": datetime(2013, 1, 1, h), "x": float(h)} for h in (1, 2, 4)]
        >>> window_oracle(rows[2], rows, keys=["k"], event_time="t", column="x", over=timedelta(hours=3), agg="sum")
        6.0
    """
    now = row[event_time]
    inside = [
        other
        for other in rows
        if all(other[key] == row[key] for key in keys)
        and now - over < other[event_time] <= now
        and where(other)
        and other[column] is not None
        and (not isinstance(other[column], float) or math.isfinite(other[column]))
    ]
    cells = [other[column] for other in sorted(inside, key=lambda other: other[event_time])]
    if agg in ("count", "distinct"):
        return float(len(cells if agg == "count" else set(cells)))
    if not cells:
        return None
    if agg.startswith("share_above:"):
        limit = float(agg.partition(":")[2])
        return sum(1.0 for cell in cells if cell > limit) / len(cells)
    if agg == "std":
        return statistics.stdev(cells) if len(cells) > 1 else None
    if agg == "last":
        return cells[-1]
    if agg in ("min", "max"):
        return min(cells) if agg == "min" else max(cells)
    return math.fsum(cells) / (len(cells) if agg == "mean" else 1)


def known_window_oracle(
    label: Row,
    rows: Sequence[Row],
    *,
    keys: Sequence[str],
    label_time: str,
    event_time: str,
    created_time: str,
    **window: Any,
) -> Any:
    """What a window must be for a label: over the rows known at its time, ending with the last event among them.

    Args:
        label: Keys and time of the label.
        rows: All rows of the view's source.
        keys: Key columns.
        label_time: Time column of the label.
        event_time: Event time column of the rows.
        created_time: When each row became known; null: at its event.
        window: ``column``, ``over``, ``agg`` and ``where`` as for `window_oracle`.

    Example:
        >>> at = lambda hour: datetime(2013, 1, 1, hour)
        >>> rows = [{"k": 1, "e": at(h), "c": at(c), "x": 1.0} for h, c in ((1, 1), (2, 9), (3, 3))]
        >>> names = {"keys": ["k"], "label_time": "t", "event_time": "e", "created_time": "c"}
        >>> window = {"column": "x", "over": timedelta(hours=3), "agg": "sum"}
        >>> [known_window_oracle({"k": 1, "t": at(hour)}, rows, **names, **window) for hour in (0, 4, 9)]
        [None, 2.0, 3.0]
    """
    now = label[label_time]
    known = [
        (row[created_time] or row[event_time], index, row)
        for index, row in enumerate(rows)
        if all(row[key] == label[key] for key in keys)
        and max(row[event_time], row[created_time] or row[event_time]) <= now
    ]
    if not known:
        return None
    known.sort(key=lambda one: one[:2])
    last = max(known, key=lambda one: (one[2][event_time], one[0], one[1]))[2]
    return window_oracle(last, [row for _, _, row in known], keys=keys, event_time=event_time, **window)
