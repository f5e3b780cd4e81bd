"""Times as numbers: reading them as microseconds since 1970, and their parts on a zone's clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...core import SchemaMismatch

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400_000_000
# Arrow 26 knows no summer time from 2038 on, the end of the tables in the zone files; Python reads the rule after them.
_SUMMERS_END = (datetime(2037, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_SCALES = {"s": 1e6, "ms": 1e3, "us": 1.0}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a time.

    Attributes:
        read: From days since 1970 and microseconds of the day, int64 ``(rows,)``.
        period: After how many it comes round again; 0 for never.
    """

    read: Callable[[Any, Any], Any]
    period: float


def _dates(days: Any) -> Any:
    return days.astype("datetime64[D]")


PARTS: Mapping[str, Part] = {
    "year": Part(lambda days, rest: _dates(days).astype("datetime64[Y]").astype(np.int64) + 1970, 0),
    "month": Part(lambda days, rest: _dates(days).astype("datetime64[M]").astype(np.int64) % 12 + 1, 12),
    "day": Part(lambda days, rest: _since(days, "datetime64[M]"), 31),
    "yearday": Part(lambda days, rest: _since(days, "datetime64[Y]"), 365.2425),
    "weekday": Part(lambda days, rest: (days + 3) % 7, 7),
    "weekend": Part(lambda days, rest: (days + 3) % 7 >= 5, 0),
    "hour": Part(lambda days, rest: rest // 3_600_000_000, 24),
    "minute": Part(lambda days, rest: rest // 60_000_000 % 60, 60),
}


def _since(days: Any, start: str) -> Any:
    dates = _dates(days)
    return (dates - dates.astype(start).astype("datetime64[D]")).astype(np.int64) + 1


@dataclass(frozen=True, slots=True)
class TakeParts:
    """Microseconds since 1970 to parts; NaN stays.

    Attributes:
        source: Slot of the times.
        parts: Part, to its slot, or to the slots of its sine and cosine.
        zone: IANA name.
    """

    source: int
    parts: Sequence[tuple[str, Sequence[int]]]
    zone: str

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        ticks = numbers[:, self.source]
        missing = np.isnan(ticks)
        stamps = np.where(missing, 0.0, ticks).astype(np.int64)
        if self.zone != "UTC":
            stamps = _local(stamps, self.zone)
        days = stamps // _DAY
        rest = stamps - days * _DAY
        for name, slots in self.parts:
            part = PARTS[name]
            values = np.where(missing, np.nan, part.read(days, rest))
            if len(slots) == 1:
                numbers[:, slots[0]] = values
            else:
                angles = values * (2 * np.pi / part.period)
                numbers[:, slots[0]], numbers[:, slots[1]] = np.sin(angles), np.cos(angles)


def _local(stamps: Any, zone: str) -> Any:
    """What the zone's clock shows, as microseconds."""
    local = pc.local_timestamp(pa.array(stamps, pa.timestamp("us", tz=zone)))
    found = local.cast(pa.int64()).to_numpy(zero_copy_only=False)
    late = np.flatnonzero(stamps >= _SUMMERS_END)
    if len(late):
        found = found.copy()
        clock = ZoneInfo(zone)
        for at in late:
            moment = (_EPOCH + int(stamps[at]) * _MICROSECOND).astimezone(clock)
            found[at] = (moment.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
    return found


def time_column(name: str, values: Any) -> Any:
    """Times as microseconds since 1970, float64, null as NaN; those without a zone count as UTC.

    Args:
        name: The column.
        values: A list (datetimes, dates, ISO 8601 text), a numpy array or an Arrow array.

    Raises:
        SchemaMismatch: A value is no time.

    Example:
        >>> time_column("at", ["1970-01-01T00:00:01Z", date(1970, 1, 2), None])
        [1000000.0, 86400000000.0, nan]
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = pa.array(values.astype("datetime64[us]"))
    if isinstance(values, list | np.ndarray):
        return [_ticks(name, item) for item in values]
    kind = values.type
    if pa.types.is_date(kind):
        values = values.cast(pa.timestamp("ms"))
    elif not pa.types.is_timestamp(kind):
        raise SchemaMismatch(f"column {name!r} is {kind} where the recipe needs times: correct its type")
    missing = pc.is_null(values).to_numpy(zero_copy_only=False)
    ticks = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    unit = values.type.unit
    found = (ticks // 1000).astype(np.float64) if unit == "ns" else ticks * _SCALES[unit]
    return np.where(missing, np.nan, found)


def _ticks(name: str, item: Any) -> float:
    if item is None or item != item:
        return np.nan
    if isinstance(item, str):
        try:
            item = datetime.fromisoformat(item)
        except ValueError as error:
            raise SchemaMismatch(f"column {name!r} holds {item!r} where the recipe needs ISO 8601 times") from error
    if isinstance(item, date) and not isinstance(item, datetime):
        item = datetime(item.year, item.month, item.day)
    if not isinstance(item, datetime):
        raise SchemaMismatch(f"column {name!r} holds {item!r} where the recipe needs times: correct its type")
    aware = item.replace(tzinfo=UTC) if item.tzinfo is None else item
    return float((aware - _EPOCH) // _MICROSECOND)


def moments_of(ticks: Any) -> Any:
    """Microseconds since 1970 as ``datetime64[us]``, NaN as NaT."""
    missing = np.isnan(ticks)
    moments = np.where(missing, 0.0, ticks).astype(np.int64).astype("datetime64[us]")
    return np.where(missing, np.datetime64("NaT", "us"), moments)
