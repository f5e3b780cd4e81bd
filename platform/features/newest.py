"""Of each entity the value that holds when everything is known, packed and in the order of the keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .codec import ViewCodec
from .dtypes import TIMESTAMP, cast_column
from .view import FeatureView

CHUNK = 50_000


class Newest:
    """The newest value of each entity among the rows of a view: greatest event time, then created time, then place.

    That is the last answer of the point-in-time join; rows without a key or an event time are nobody's.

    Args:
        view: The view.
        values: Its values, columns `view.schema`.

    Example:
        >>> from datetime import datetime, timezone
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> values = pa.table({"origin": ["EWR", "EWR"], "at": [at(8), at(6)], "temp": [41.0, 39.0]})
        >>> [(key, value)] = next(Newest(view, values).chunks())
        >>> ViewCodec(view).unpack(value)[2]
        [41.0]
    """

    def __init__(self, view: FeatureView, values: pa.Table) -> None:
        codec = ViewCodec(view)
        rows = complete(values, [*view.entity.keys, view.event_time])
        event = _micros(rows[view.event_time], view.event_time)
        created = event
        if view.created_time is not None:
            moments = pc.coalesce(rows[view.created_time], rows[view.event_time])
            created = _micros(moments, view.created_time)
        keys = codec.pack_keys([rows[name] for name in view.entity.keys])
        chosen, tied = _last_of_each(keys, event, created)
        self._keys, self._chosen, self._tied = keys, chosen, tied
        self._values = codec.pack_values(rows.select(view.feature_columns), event, created)
        self.newest_event = int(event.max()) if len(event) else None

    def __len__(self) -> int:
        return len(self._chosen)

    def chunks(self, size: int = CHUNK) -> Iterator[list[tuple[bytes, bytes]]]:
        """Pairs of key and value, at most `size` at once."""
        for start in range(0, len(self._chosen), size):
            places = pa.array(self._chosen[start : start + size])
            keys, values = self._keys.take(places), self._values.take(places)
            yield list(zip(keys.to_pylist(), values.to_pylist(), strict=True))

    @property
    def tied(self) -> set[bytes]:
        """Keys whose newest rank several rows have: which of them holds is decided by their places."""
        return set(self._keys.take(pa.array(self._tied)).to_pylist())

    def to_dict(self) -> dict[bytes, bytes]:
        """All of them."""
        return {key: value for chunk in self.chunks() for key, value in chunk}


def _last_of_each(keys: pa.Array, event: np.ndarray, created: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the newest row of each key, in the order of the keys; and of those that are newest by place only."""
    order = None
    if len(keys) > 1 and not _ascending(event, created):
        order = np.lexsort((created, event))  # stable: of equal ranks the row that stands last comes last
        keys = keys.take(pa.array(order))
    by_key = pc.sort_indices(keys).to_numpy()  # stable as well
    ordered = keys.take(pa.array(by_key))
    places = by_key if order is None else order[by_key]
    if len(ordered) < 2:
        return places, places[:0]
    other = pc.not_equal(ordered[1:], ordered[:-1]).to_numpy(False)
    if other.all():
        return places, places[:0]
    last = np.append(other, True)
    level = ~other & (np.diff(event[places]) == 0) & (np.diff(created[places]) == 0)
    return places[last], places[last & np.insert(level, 0, False)]


def _ascending(event: np.ndarray, created: np.ndarray) -> bool:
    step = np.diff(event)
    return bool((step > 0).all() or ((step >= 0).all() and (np.diff(created)[step == 0] >= 0).all()))


def complete(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows of `table` that have a value in each of the columns `names`."""
    for name in names:
        if table[name].null_count:
            table = table.filter(pc.is_valid(table[name]))
    return table


def _micros(column: pa.ChunkedArray, name: str) -> np.ndarray:
    moments: np.ndarray = cast_column(column, TIMESTAMP, name, "values").cast(pa.int64()).to_numpy()
    return moments
