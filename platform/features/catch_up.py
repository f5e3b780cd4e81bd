"""What changed in a view's source since its online values were made, brought online; deletions too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from .. import data
from ..core import Ref, Workspace
from ..data.history import CHANGE, TIME, VERSION
from .build import compute_values
from .codec import RANK_BYTES, ViewCodec
from .dtypes import TIMESTAMP, cast_column
from .newest import Newest, complete
from .online import OnlineStore, within
from .view import FeatureView
from .view_sources import reach, source_columns, source_tables

_GONE = pa.array(["delete", "update_preimage"])
_LATEST = b"\xff" * (RANK_BYTES - 8)


def catch_up(
    ws: Workspace, store: OnlineStore, view: FeatureView, since: int, until: int, keep: timedelta | None
) -> tuple[int, int, int | None] | None:
    """Bring online what changed in the source of `view` after version `since` up to version `until`.

    Rows that came are computed alone; where the view has windows, together with the rows that their windows reach;
    where it has a transform, with all rows of the same entities. Of rows that went, the entities get the newest value
    that remains, or none.

    Returns:
        Values written, values taken back, newest event time; or None when the changes do not tell whose rows they
        are (a transform makes the keys): then everything has to be materialised.

    Raises:
        NotFound: A clean-up has removed files of the versions between.
    """
    source = Ref.parse(source_tables(view)[0])
    changed = data.changes(ws, source.qualified, since=since, until=until)
    gone = pc.is_in(changed[CHANGE], _GONE)
    rows = changed.drop_columns([CHANGE, VERSION, TIME])
    went, came = rows.filter(gone), rows.filter(pc.invert(gone))
    if view.transform is not None and rows.num_rows and not set(view.entity.keys) <= set(rows.column_names):
        return None
    written = taken = 0
    if view.transform is None:
        came = _typed(view, complete(came, [*view.entity.keys, view.event_time]))
    newest, tied = _came(ws, view, source.at(until), came), set[bytes]()
    for chunk in newest.chunks():
        tied |= _level(store, chunk)
        written += store.put(chunk, keep=keep)
    if view.transform is None and not view.window and (tied := tied | newest.tied):
        # Of rows of one rank all have to be compared: what is online does not tell all that `settle_ties` looks at.
        keys = ViewCodec(view).pack_keys([came[name] for name in view.entity.keys])
        again = came.filter(pc.is_in(keys, pa.array(sorted(tied), pa.large_binary())))
        for chunk in Newest(view, compute_values(view, _rows_of(ws, view, source.at(until), again))).chunks():
            store.put(chunk, keep=keep)
    if went.num_rows:
        # A row that came late changed the value of a later event: what was online tells more than the row that went.
        alone = view.transform is None and not (view.window and view.created_time)
        limits = went if alone else _rows_of(ws, view, source.at(since), went)
        remaining = Newest(view, compute_values(view, _rows_of(ws, view, source.at(until), went)))
        for chunk in remaining.chunks():  # of windows that lost a row, the later values change as well
            written += store.put(chunk, keep=keep)
        taken = _take_back(store, Newest(view, compute_values(view, limits)), remaining, keep)
    return written, taken, newest.newest_event


def _typed(view: FeatureView, rows: pa.Table) -> pa.Table:
    """`rows` with keys of the types that the codec packs."""
    for name in view.entity.keys:
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, cast_column(rows[name], view.schema.field(name).type, name, "source"))
    return rows


def _level(store: OnlineStore, chunk: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
    """Keys that hold another value of the same rank."""
    stored = store.get_many([key for key, _ in chunk])
    return {
        key
        for (key, value), held in zip(chunk, stored, strict=True)
        if held is not None and held != value and held[:RANK_BYTES] == value[:RANK_BYTES]
    }


def _came(ws: Workspace, view: FeatureView, source: Ref, came: pa.Table) -> Newest:
    if view.transform is not None:
        return Newest(view, compute_values(view, _rows_of(ws, view, source, came) if came.num_rows else came))
    back = reach(view)
    if back is None or not came.num_rows:
        return Newest(view, compute_values(view, came))
    first = pc.min(pc.cast(came[view.event_time], TIMESTAMP)).as_py()
    near = _rows_of(ws, view, source, came, since=pa.scalar(first - back, came[view.event_time].type))
    values = compute_values(view, near)
    return Newest(view, values.filter(pc.greater_equal(values[view.event_time], pa.scalar(first, TIMESTAMP))))


def _take_back(store: OnlineStore, limits: Newest, remaining: Newest, keep: timedelta | None) -> int:
    left = within(remaining.to_dict(), keep)
    taken = 0
    for chunk in limits.chunks():
        taken += store.amend([(key, value[:8] + _LATEST, left.get(key)) for key, value in chunk])
    return taken


def _rows_of(ws: Workspace, view: FeatureView, source: Ref, rows: pa.Table, since: pa.Scalar | None = None) -> pa.Table:
    """The rows of `source` with the keys of `rows`: perhaps a few more, where several columns are the key."""
    wanted = None
    for name in view.entity.keys:
        among = pc.field(name).isin(pc.unique(rows[name]).drop_null())
        wanted = among if wanted is None else wanted & among
    if since is not None:
        wanted &= pc.field(view.event_time) >= since
    return data.table(ws, str(source), columns=source_columns(view), filter=wanted)
