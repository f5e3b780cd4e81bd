"""Bring feature values to the online store: all of a view, or only what changed since the last time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import pyarrow as pa

from .. import data, registry
from ..core import NotFound, Ref, Workspace, duration, exclusive
from ..registry import OnlineDefinition
from .build import build_view, conform_values
from .catch_up import catch_up
from .codec import RANK_BYTES, ViewCodec
from .cursor import OnlineCursor, read_cursor, remove_cursor, write_cursor
from .feature_set import FeatureSet
from .newest import Newest
from .online import OnlineStore, open_online
from .references import Views, named, views_of
from .timeline import Materialiser
from .view import FeatureView
from .view_sources import is_changed_by_rows, newest_versions, record_sources

_PATIENCE = 600.0  # seconds to wait for another materialisation of the same view


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What was done to one view.

    Attributes:
        view: Its name.
        version: Its version.
        source: The versions of the source tables that are online now, ``weather@7``.
        how: ``nothing`` (it was up to date), ``changes`` or ``full``.
        written: Values written.
        removed: Values taken back because the rows behind them are gone.
        seconds: How long it took.
    """

    view: str
    version: str
    source: str
    how: str
    written: int
    removed: int
    seconds: float


def materialise(
    ws: Workspace,
    views: Views,
    *,
    until: datetime | None = None,
    since: datetime | None = None,
    keep: str | timedelta | None = None,
) -> int:
    """Write the newest value of each entity to the online store; views are built first where they are not up to date.

    Running it again, or after a crash in the middle, gives the same content. Without `until` and `since` the online
    values are those of the newest source version afterwards: entities whose rows are gone are gone too, and `refresh`
    goes on from here.

    Args:
        ws: Workspace.
        views: Feature set, view, reference to a registered one (``weather@2``), or several views.
        until: Only what was known at this moment; by default everything.
        since: Only what became known after this moment; by default everything.
        keep: Values are kept online for so long after their event time, ``"90d"``; by default as before, or else as
            long as the view's `retention`. Unlike a view's `ttl` it looks at the clock, not at the request.

    Returns:
        Number of values written.

    Raises:
        NotFound: A source table does not exist.
        StorageError: The store cannot be written.

    Example:
        >>> import tempfile
        >>> from datetime import timezone
        >>> import pyarrow as pa
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> source = data.write(ws, "weather", pa.table({"origin": ["EWR"], "at": [seen], "temp": [39]}))
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> materialise(ws, view)
        1
    """
    given = named(ws, views) if isinstance(views, str) else views
    wanted = views_of(ws, given)
    span = None if keep is None else duration(keep, "keep")
    if until is not None or since is not None:
        with Materialiser(ws, wanted, since=since) as materialiser:
            written = materialiser.finish() if until is None else materialiser.advance(until)
    else:
        with open_online(ws) as store:
            written = sum(_full(ws, store, view, span or _kept(ws, view)).written for view in wanted)
    _note(ws, given, wanted, span)
    return written


def refresh(
    ws: Workspace,
    views: Views | None = None,
    *,
    store: OnlineStore | None = None,
) -> list[Refreshed]:
    """Bring the online values of views up to their sources' newest versions, writing only what changed.

    The first time everything is materialised; then the sources' change data feeds tell which rows came and went since
    the version that is online. That version is kept in the store itself, so a killed refresh is simply repeated. Where
    the changes can no longer be told (a clean-up removed the files), everything is compared instead.

    Args:
        ws: Workspace.
        views: What to refresh, as `materialise` takes it; by default every view that is online.
        store: Online store, which stays open; by default that of `ws`.

    Raises:
        NotFound: A source table does not exist.
        StorageError: The store cannot be written.

    Example:
        >>> import tempfile
        >>> from datetime import timezone
        >>> import pyarrow as pa
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> row = lambda hour: pa.table({"origin": ["EWR"], "at": [datetime(2013, 1, 1, hour, tzinfo=timezone.utc)]})
        >>> view = FeatureView(
        ...     "weather", "origin", event_time="at", table="weather", columns=["temp"], types={"temp": "int64"}
        ... )
        >>> _ = data.write(ws, "weather", row(6).append_column("temp", pa.array([39])))
        >>> [(done.how, done.written) for done in refresh(ws, view)]
        [('full', 1)]
        >>> _ = data.write(ws, "weather", row(7).append_column("temp", pa.array([41])))
        >>> [(done.how, done.written) for _ in range(2) for done in refresh(ws, view)]
        [('changes', 1), ('nothing', 0)]
    """
    if store is None:
        with open_online(ws) as opened:
            return refresh(ws, views, store=opened)
    known = {(each.name, each.version): each for each in registry.online_definitions(ws, "view")}
    given = named(ws, views) if isinstance(views, str) else views
    wanted = [online_view(each) for each in known.values()] if given is None else views_of(ws, given)
    done = []
    for view in wanted:
        noted = known.get((view.name, view.version))
        done.append(refresh_view(ws, store, view, kept(view, noted)))
        # The retention is not part of the version: the definition that was given last says it.
        if noted is None or (given is not None and online_view(noted).retention != view.retention):
            _note(ws, view, (view,), None)
    if isinstance(given, FeatureSet):
        _note(ws, given, (), None)
    return done


def refresh_view(ws: Workspace, store: OnlineStore, view: FeatureView, keep: timedelta | None) -> Refreshed:
    """`refresh` of one view."""
    started = time.perf_counter()
    codec = ViewCodec(view)
    with _alone(ws, codec):
        cursor, newest = read_cursor(store, codec), newest_versions(ws, view)
        if cursor is not None and cursor.versions == newest:
            return Refreshed(view.name, view.version, _told(newest), "nothing", 0, 0, 0.0)
        done = None if cursor is None else _changes(ws, store, view, cursor, newest, keep)
        if cursor is not None and done is not None:
            known = [event for event in (cursor.newest_event, done[2]) if event is not None]
            write_cursor(store, codec, newest, max(known, default=None))
            seconds = time.perf_counter() - started
            return Refreshed(view.name, view.version, _told(newest), "changes", done[0], done[1], seconds)
    return _full(ws, store, view, keep)


def put_values(ws: Workspace, view: FeatureView, values: pa.Table, *, store: OnlineStore | None = None) -> int:
    """Write values of a view online at once, without its table: what a stream brings before the table has it.

    The next `refresh` leaves them, as long as the rows do not contradict; a full `materialise` makes the store equal to
    the table again.

    Args:
        ws: Workspace.
        view: The view.
        values: Rows with the columns `view.schema`.
        store: Online store; by default that of `ws`.

    Returns:
        Number of values written, one per entity that had no newer one.

    Raises:
        SchemaMismatch: A column is missing or of another type.

    Example:
        >>> import tempfile
        >>> from datetime import timezone
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> seen = datetime(2013, 1, 1, tzinfo=timezone.utc)
        >>> rows = pa.table({"origin": ["EWR"], "at": [seen], "temp": [3.5]})
        >>> put_values(Workspace.open(tempfile.mkdtemp()), view, rows)
        1
    """
    if store is None:
        with open_online(ws) as opened:
            return put_values(ws, view, values, store=opened)
    newest = Newest(view, conform_values(view, values))
    keep = _kept(ws, view)
    return sum(store.put(chunk, keep=keep) for chunk in newest.chunks())


def drop_view(ws: Workspace, view: FeatureView) -> int:
    """Remove the values of this version of a view from the online store; returns how many.

    Example:
        >>> import tempfile
        >>> view = FeatureView("weather", "origin", event_time="at", table="weather", columns=["temp"])
        >>> drop_view(Workspace.open(tempfile.mkdtemp()), view)
        0
    """
    codec = ViewCodec(view)
    registry.remove_online(ws, "view", view.name, view.version)
    with open_online(ws) as store, _alone(ws, codec):
        remove_cursor(store, codec)
        return store.drop(codec.prefix)


def online_view(stored: OnlineDefinition) -> FeatureView:
    """The view of a definition that is online.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> [online_view(each) for each in registry.online_definitions(ws, "view")]
        []
    """
    return FeatureSet.from_dict(stored.definition).views[0]


def kept(view: FeatureView, noted: OnlineDefinition | None) -> timedelta | None:
    """How long the values of a view are kept online: as was said for the online store, or else its retention."""
    return view.retention if noted is None or noted.keep is None else noted.keep


def _changes(
    ws: Workspace,
    store: OnlineStore,
    view: FeatureView,
    cursor: OnlineCursor,
    newest: dict[str, int],
    keep: timedelta | None,
) -> tuple[int, int, int | None] | None:
    """`catch_up`, or None where everything has to be compared."""
    if not is_changed_by_rows(view) or cursor.versions.keys() != newest.keys():
        return None
    ((since, until),) = [(cursor.versions[name], version) for name, version in newest.items()]
    if since > until:  # the table was made anew
        return None
    try:
        return catch_up(ws, store, view, since, until, keep)
    except NotFound:  # a clean-up has removed files of the versions between
        return None


def _full(ws: Workspace, store: OnlineStore, view: FeatureView, keep: timedelta | None) -> Refreshed:
    started = time.perf_counter()
    codec = ViewCodec(view)
    with _alone(ws, codec):
        record_sources(ws, view)
        versions = newest_versions(ws, view)
        # The versions are named: a table that was made anew is older than the registry thinks.
        built = build_view(ws, view, table_ref=_pinned(view, versions))
        newest = Newest(view, conform_values(view, data.table(ws, str(built), columns=view.schema.names)))
        filled = next(iter(store.scan(codec.prefix)), None) is not None
        written = sum(store.put(chunk, keep=keep) for chunk in newest.chunks())
        removed = _reconcile(store, codec, newest) if filled else 0
        # Versions that came while the view was built are looked at again by the next refresh.
        write_cursor(store, codec, versions, newest.newest_event)
    seconds = time.perf_counter() - started
    return Refreshed(view.name, view.version, _told(versions), "full", written, removed, seconds)


def _told(versions: dict[str, int]) -> str:
    return ", ".join(str(Ref.parse(name).at(version)) for name, version in versions.items())


def _pinned(view: FeatureView, versions: dict[str, int]) -> dict[str, str]:
    """Versions of the tables that the view reads itself; those of its parents are theirs."""
    parents = {str(parent.ref) for parent in view.parents}
    own = [name for name in view.tables if name not in parents]
    return {name: str(Ref.parse(name).at(versions[Ref.parse(name).qualified])) for name in own}


def _kept(ws: Workspace, view: FeatureView) -> timedelta | None:
    stored = registry.online_definitions(ws, "view")
    return kept(view, next((one for one in stored if (one.name, one.version) == (view.name, view.version)), None))


def _reconcile(store: OnlineStore, codec: ViewCodec, newest: Newest) -> int:
    """Take back values whose rows are no longer there."""
    right = newest.to_dict()
    wrong = [
        (key, value[:RANK_BYTES], right.get(key))
        for key, value in store.scan(codec.prefix)
        if key not in right or value[:RANK_BYTES] > right[key][:RANK_BYTES]
    ]
    return store.amend(wrong)


def _note(
    ws: Workspace,
    given: Views,
    views: Iterable[FeatureView],
    keep: timedelta | None,
) -> None:
    """Remember in the registry what is online, so that a server finds it by name."""
    for view in views:
        packed = FeatureSet(view.name, [view]).to_dict()
        registry.save_online(ws, "view", view.name, view.version, packed, keep=keep)
    if isinstance(given, FeatureSet):
        registry.save_online(ws, "set", given.name, given.version, given.to_dict())


def _alone(ws: Workspace, codec: ViewCodec) -> AbstractContextManager[None]:
    """One materialisation of a view at a time on this machine; another one is waited for."""
    return exclusive(ws, f"online-{sha256(codec.prefix).hexdigest()[:12]}", patience=_PATIENCE)
