"""Follows the tables: what a new version brings is online a moment later."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from .. import registry
from ..core import Node, RaylakeError, Ref, Workspace, duration
from ..data.delta_log import open_delta
from .materialise import Refreshed, kept, online_view, refresh_view
from .online import OnlineStore, open_online
from .references import Views, views_of
from .view import FeatureView
from .view_sources import source_tables

_MOST_AT_ONCE = 8
_LOOK_SECONDS = 1.0  # between looks at which views are online
_LONGEST_PAUSE = 60.0
_log = logging.getLogger("raylake.features")
_Key = tuple[str, str]


def keep_online(
    ws: Workspace,
    views: Views | None = None,
    *,
    stop: threading.Event | None = None,
    every: str | timedelta = "100ms",
) -> None:
    """Refresh views whenever their source has a new version, until `stop` is set.

    To run on each node with an LMDB of its own, or once for a Redis: `raylake features follow`. Whoever writes the
    table (push, Kafka, a pipeline, SQL) does not matter: the look is at Delta's log, and costs well under a
    millisecond for a local table that did not change. A view that cannot be refreshed is told in an alert, tried again
    with growing pauses, and keeps no other waiting. Killed at any point, it goes on from the cursor in the store.

    Args:
        ws: Workspace.
        views: What to follow; by default every view that is online, those that come later included.
        stop: Ends the call; None: never.
        every: Pause between two looks.

    Example:
        >>> import tempfile
        >>> done = threading.Event()
        >>> done.set()
        >>> keep_online(Workspace.open(tempfile.mkdtemp()), stop=done)
    """
    stop, pause = stop or threading.Event(), duration(every, "every").total_seconds()
    with open_online(ws) as store, ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="online") as pool:
        follower = _Follower(ws, store, pool, None if views is None else views_of(ws, views))
        while not stop.is_set():
            follower.look()
            stop.wait(pause)


class _Follower:
    """What runs, what failed, and which version of which table was seen."""

    def __init__(
        self, ws: Workspace, store: OnlineStore, pool: ThreadPoolExecutor, views: tuple[FeatureView, ...] | None
    ) -> None:
        self._ws, self._store, self._pool = ws, store, pool
        self._given = views
        self._views: dict[_Key, tuple[FeatureView, timedelta | None]] = {}
        self._looked = float("-inf")
        self._seen: dict[_Key, tuple[int | None, ...]] = {}
        self._running: dict[_Key, Future[Refreshed]] = {}
        self._failures: dict[_Key, tuple[int, float]] = {}

    def look(self) -> None:
        """One turn: start what has something to do."""
        self._definitions()
        versions: dict[str, int | None] = {}
        for key, (view, keep) in self._views.items():
            if not self._free(key):
                continue
            for name in source_tables(view):
                if name not in versions:
                    versions[name] = self._version(name)
            seen = tuple(versions[name] for name in source_tables(view))
            if None not in seen and self._seen.get(key) != seen:
                self._running[key] = self._pool.submit(refresh_view, self._ws, self._store, view, keep)
                self._seen[key] = seen

    def _definitions(self) -> None:
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            stored = registry.online_definitions(self._ws, "view")
        except RaylakeError as error:
            # The registry is away for a moment: what is known goes on.
            _log.warning("the registry does not answer: %s", error)
            return
        noted = {(each.name, each.version): each for each in stored}
        if self._given is not None:
            given = {(view.name, view.version): view for view in self._given}
            self._views = {key: (view, kept(view, noted.get(key))) for key, view in given.items()}
            return
        fresh = {}
        for each in stored:
            key = each.name, each.version
            view = online_view(each)
            fresh[key] = view, kept(view, each)
        self._views = fresh

    def _free(self, key: _Key) -> bool:
        """Whether nothing runs for a view, and it need not wait after a failure."""
        running = self._running.get(key)
        if running is None:
            count, until = self._failures.get(key, (0, 0.0))
            return count == 0 or time.monotonic() >= until
        if not running.done():
            return False
        del self._running[key]
        error = running.exception()
        if error is None:
            self._failures.pop(key, None)
            return True
        if not isinstance(error, RaylakeError):
            raise error
        self._failed(key, error)
        return False

    def _failed(self, key: _Key, error: RaylakeError) -> None:
        count = self._failures.get(key, (0, 0.0))[0] + 1
        self._failures[key] = count, time.monotonic() + min(_LONGEST_PAUSE, 0.25 * 2.0 ** min(count, 10))
        self._seen.pop(key, None)
        _log.warning("view %s@%s is not refreshed: %s", *key, error)
        if count > 1:
            return
        try:
            registry.record_alert(
                self._ws, severity="error", subject=Node("view", *key), message=str(error), evidence={}
            )
        except RaylakeError as second:
            _log.warning("the alert was not recorded either: %s", second)

    def _version(self, table: str) -> int | None:
        try:
            opened = open_delta(self._ws.table_url(Ref.parse(table)))
        except RaylakeError as error:
            _log.warning("table %s cannot be looked at: %s", table, error)
            return None
        return None if opened is None else opened.version()
