"""The online store step by step as time passes: what a replay or a back-test needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from .. import data
from ..core import ConfigError, NotFound, Workspace
from ..core.closing import Closing
from ..registry import TableVersion
from .as_of import CREATED, EVENT, KNOWN, ROW, known_rows
from .build import build_view, conform_values
from .codec import ViewCodec
from .dtypes import EPOCH, micros
from .online import OnlineStore, open_online
from .references import Views, views_of
from .view import FeatureView

CHUNK = 50_000


class Materialiser(Closing):
    """Keeps the online store at a moment that moves forward, writing only what became known since the last call.

    Holds the packed values of all views in memory, in the order in which they became known, so that a call of
    `advance` is a binary search and one small LMDB commit. The state after ``advance(t)`` is what the point-in-time
    join sees at t. Use one per thread.

    Args:
        ws: Workspace.
        views: Feature set, view, reference to a registered one, or several views.
        tables: For a view's name the values to take: a version of ``features.<view>`` or a table of values. Views
            that are not named are built (`build_view`, which does nothing when it is up to date).
        store: Online store; by default that of `ws`, closed with this object.
        since: Rows known at or before this moment are taken as written already.

    Raises:
        ConfigError: `tables` names a view that is not there.
        NotFound: A view's source table does not exist.

    Example:
        >>> import tempfile
        >>> from datetime import timezone
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=timezone.utc)
        >>> values = pa.table({"origin": ["EWR", "EWR"], "at": [at(6), at(8)], "temp": [39.0, 41.0]})
        >>> with Materialiser(Workspace.open(tempfile.mkdtemp()), view, {"weather": values}) as materialiser:
        ...     materialiser.advance(at(7)), materialiser.advance(at(7)), materialiser.advance(at(9))
        (1, 0, 1)
    """

    def __init__(
        self,
        ws: Workspace,
        views: Views,
        tables: Mapping[str, TableVersion | str | pa.Table] | None = None,
        *,
        store: OnlineStore | None = None,
        since: datetime | None = None,
    ) -> None:
        wanted = views_of(ws, views)
        unknown = set(tables or {}) - {view.name for view in wanted}
        if unknown:
            raise ConfigError(f"tables names view {min(unknown)!r}; there are {', '.join(v.name for v in wanted)}")
        timelines = [_Timeline(view, _values(ws, view, (tables or {}).get(view.name))) for view in wanted]
        self._timelines = timelines
        self._own = store is None
        self._store = open_online(ws) if store is None else store
        if since is not None:
            for timeline in timelines:
                timeline.skip(micros(since, "since"))

    def advance(self, until: datetime) -> int:
        """Write all that became known up to and including `until`; going back in time writes nothing.

        Returns:
            Number of values written (one per entity, however many of its rows became known).

        Raises:
            ConfigError: `until` has no time zone.
            StorageError: The store cannot be written.
        """
        return self._write(micros(until, "until"))

    def finish(self) -> int:
        """Write all that there is; returns the number of values written."""
        return self._write(np.iinfo(np.int64).max)

    @property
    def known_until(self) -> datetime | None:
        """When the newest row of all views becomes known; None when there is none."""
        last = [int(t.known[-1]) for t in self._timelines if len(t.known)]
        return None if not last else EPOCH + timedelta(microseconds=max(last))

    def close(self) -> None:
        """Sync the store, and close it if this object opened it."""
        if self._own:
            self._store.close()
        else:
            self._store.sync()

    def _write(self, until: int) -> int:
        pending: list[tuple[bytes, bytes]] = []
        for timeline in self._timelines:
            pending += timeline.pending(until)
        written = 0
        for start in range(0, len(pending), CHUNK):  # bounds the size of one LMDB transaction
            written += self._store.put(pending[start : start + CHUNK])
        for timeline in self._timelines:  # only now: after an error the next call tries again
            timeline.skip(until)
        return written


class _Timeline:
    """The values of one view in the order in which they became known, packed."""

    def __init__(self, view: FeatureView, values: pa.Table) -> None:
        codec = ViewCodec(view)
        frame = known_rows(values, view.entity.keys, view.event_time, view.created_time)
        rows = values.take(pa.array(frame[ROW].to_numpy()))
        self.known = frame[KNOWN].to_numpy()
        self._keys = codec.pack_keys([rows[key] for key in view.entity.keys])
        self._values = codec.pack_values(
            rows.select(view.feature_columns), frame[EVENT].to_numpy(), frame[CREATED].to_numpy()
        )
        self._done = 0

    def pending(self, until: int) -> list[tuple[bytes, bytes]]:
        """The newest value of each entity among the rows that became known since, up to `until`."""
        count = int(self.known.searchsorted(until, "right")) - self._done
        if count <= 0:
            return []
        keys = self._keys.slice(self._done, count).to_pylist()
        # Rows are in the order in which they became known: of each key the last one is the answer at `until`.
        return list(dict(zip(keys, self._values.slice(self._done, count).to_pylist(), strict=True)).items())

    def skip(self, until: int) -> None:
        """Take all up to `until` as written."""
        self._done = max(self._done, int(self.known.searchsorted(until, "right")))


def _values(ws: Workspace, view: FeatureView, given: TableVersion | str | pa.Table | None) -> pa.Table:
    if given is None:
        given = build_view(ws, view)
    if isinstance(given, pa.Table):
        return conform_values(view, given)
    if not data.exists(ws, str(given)):
        raise NotFound(
            f"table {given} of view {view.name!r} does not exist: build it with features.build_view(ws, view)"
        )
    return conform_values(view, data.table(ws, str(given), columns=view.schema.names))
