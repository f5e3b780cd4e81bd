"""How far the online store is behind the tables."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from .. import registry
from ..core import NotFound, Ref, Workspace
from ..data.delta_log import entries, require
from .codec import ViewCodec
from .cursor import read_cursor
from .dtypes import EPOCH
from .materialise import kept, online_view
from .online import OnlineStore, open_online
from .view_sources import source_tables


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far one view's online values are behind its source.

    Attributes:
        view: Its name.
        version: Its version.
        tables: The source tables.
        behind: How many versions of them are not online; all of them when the view was never materialised whole.
        lag: How long the oldest version that is not online has been waiting; zero when there is none.
        newest_event: Event time of the newest value online, or None.
        keep: How long values are kept, or None.
    """

    view: str
    version: str
    tables: tuple[str, ...]
    behind: int
    lag: timedelta
    newest_event: datetime | None
    keep: timedelta | None


def freshness(ws: Workspace, *, store: OnlineStore | None = None) -> list[Freshness]:
    """How far each view that is online is behind its source.

    Args:
        ws: Workspace.
        store: Online store; by default that of `ws`.

    Raises:
        StorageError: The store does not answer.

    Example:
        >>> import tempfile
        >>> freshness(Workspace.open(tempfile.mkdtemp()))
        []
    """
    if store is None:
        with open_online(ws) as opened:
            return freshness(ws, store=opened)
    found = []
    for stored in registry.online_definitions(ws, "view"):
        view = online_view(stored)
        cursor = read_cursor(store, ViewCodec(view))
        waiting = [
            moment
            for ref in map(Ref.parse, source_tables(view))
            for moment in _waiting(ws, ref, -1 if cursor is None else cursor.versions.get(ref.qualified, -1))
        ]
        lag = timedelta(milliseconds=max(0.0, time.time() * 1000 - min(waiting))) if waiting else timedelta(0)
        event = None if cursor is None or cursor.newest_event is None else EPOCH + _micros(cursor.newest_event)
        tables = source_tables(view)
        found.append(Freshness(view.name, view.version, tables, len(waiting), lag, event, kept(view, stored)))
    return found


def freshness_metrics(ws: Workspace, *, store: OnlineStore | None = None) -> bytes:
    """`freshness` in Prometheus' text form.

    ``raylake_online_lag_seconds``, ``raylake_online_versions_behind`` and
    ``raylake_online_newest_event_timestamp_seconds``, each with the labels view and version.

    Example:
        >>> import tempfile
        >>> b"raylake_online_lag_seconds gauge" in freshness_metrics(Workspace.open(tempfile.mkdtemp()))
        True
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    collected, names = CollectorRegistry(), ("view", "version")
    lag = Gauge(
        "raylake_online_lag_seconds", "How long the oldest change not yet online waits.", names, registry=collected
    )
    behind = Gauge(
        "raylake_online_versions_behind", "Versions of the source not yet online.", names, registry=collected
    )
    newest = Gauge(
        "raylake_online_newest_event_timestamp_seconds", "Event time of the newest value.", names, registry=collected
    )
    for each in freshness(ws, store=store):
        lag.labels(each.view, each.version).set(each.lag.total_seconds())
        behind.labels(each.view, each.version).set(each.behind)
        if each.newest_event is not None:
            newest.labels(each.view, each.version).set(each.newest_event.timestamp())
    return generate_latest(collected)


def _waiting(ws: Workspace, ref: Ref, online: int) -> list[int]:
    """When the versions after `online` were committed, ms since 1970; none when the table is gone."""
    try:
        table = require(ws, ref)
    except NotFound:
        return []
    found = []
    for entry in entries(table, ws.table_url(ref)):
        if entry.version <= online:
            break
        if entry.version > 0 or entry.operation != "CREATE TABLE":
            found.append(entry.timestamp)
    return found


def _micros(value: int) -> timedelta:
    return timedelta(microseconds=value)
