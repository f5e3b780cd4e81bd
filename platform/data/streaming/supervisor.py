"""The supervisor: makes what runs equal to what is configured, again and again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ... import registry
from ...core import ConfigError, NotFound, RaylakeError, Workspace, duration, ensure_ray, exclusive
from ...registry import SourceRecord
from .loop import SourceLoop

_POLL_SECONDS = 0.5
_MOST_AT_ONCE = 16


def supervise(ws: Workspace, *, stop: threading.Event | None = None) -> None:
    """Run every configured source until `stop` is set: continuous ones in actors, others by their schedule.

    What is added, changed, paused, resumed or removed meanwhile takes effect within a second; sources do not wait for
    each other. An actor outlives this process as long as its cluster does; killed, it is started again. Killed at any
    point and run again, everything goes on exactly once.

    Args:
        ws: The workspace.
        stop: Ends the call; ``None``: never.

    Raises:
        WorkspaceBusy: Another process supervises the sources of this workspace.

    Example:
        >>> import tempfile
        >>> done = threading.Event()
        >>> done.set()
        >>> supervise(Workspace.open(tempfile.mkdtemp()), stop=done)
    """
    stop = stop or threading.Event()
    with exclusive(ws, "sources"), ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="source") as pool:
        running = _Scheduled(ws, pool)
        while not stop.is_set():
            try:
                records = registry.source_records(ws)
            except RaylakeError:
                # The registry is away for a moment: what runs goes on, and the next look decides.
                records = None
            if records is not None:
                _keep_actors(ws, records)
                running.start_due(records)
            stop.wait(_POLL_SECONDS)


def source_status(ws: Workspace, name: str) -> Mapping[str, Any]:
    """How a continuous source's actor is doing: state, batches, rows, failures, error, lag, latency, seconds, pid.

    Raises:
        NotFound: No actor runs it.

    Example:
        >>> from raylake.data import source_status
        >>> source_status(Workspace.open(), "clicks")["lag"]  # doctest: +SKIP
        0
    """
    import ray

    ensure_ray(ws)
    actor = _actor(ws, name)
    if actor is None:
        raise NotFound(
            f"no actor runs source {name!r}: is it continuous and active, and does `raylake source run` run?"
        )
    try:
        found: Mapping[str, Any] = ray.get(actor.status.remote(), timeout=30)
    except ray.exceptions.RayError as error:
        raise NotFound(f"the actor of source {name!r} does not answer: {error}. It is being restarted") from error
    return found


def stop_actors(ws: Workspace) -> None:
    """End the actors of all sources after their running batch; configured sources start again with `supervise`."""
    for record in registry.source_records(ws):
        _end_actor(ws, record.name)


def _keep_actors(ws: Workspace, records: list[SourceRecord]) -> None:
    wanted = {record.name for record in records if record.definition.get("continuous")}
    if not wanted:
        return
    import ray

    from .actor import SourceActor

    ensure_ray(ws)
    for name in sorted(wanted):
        if _actor(ws, name) is None:
            with contextlib.suppress(ValueError):
                # ValueError: another one was quicker.
                made: Any = SourceActor
                made.options(name=_label(ws, name), namespace=ws.name, lifetime="detached").remote(ws, name)
    for record in records:
        if record.name in wanted or not ray.is_initialized():
            continue
        _end_actor(ws, record.name)


def _label(ws: Workspace, name: str) -> str:
    # Workspaces of one name may share a cluster: the registry tells them apart.
    import hashlib

    return f"source:{hashlib.sha256(ws.registry_url.encode()).hexdigest()[:8]}:{name}"


def _actor(ws: Workspace, name: str) -> Any:
    import ray

    try:
        return ray.get_actor(_label(ws, name), namespace=ws.name)
    except ValueError:
        return None


def _end_actor(ws: Workspace, name: str) -> None:
    import ray

    actor = _actor(ws, name)
    if actor is None:
        return
    with contextlib.suppress(ray.exceptions.RayError):
        ray.get(actor.stop.remote(), timeout=60)
    ray.kill(actor)


class _Scheduled:
    """Sources with a schedule, each in a thread of its own while it runs."""

    def __init__(self, ws: Workspace, pool: ThreadPoolExecutor) -> None:
        self._ws = ws
        self._pool = pool
        self._running: dict[str, Future[None]] = {}
        self._loops: dict[str, SourceLoop] = {}
        self._due: dict[str, tuple[int, float]] = {}

    def start_due(self, records: list[SourceRecord]) -> None:
        """Start what is due and does not run; forget what is gone."""
        here = {record.name for record in records}
        for name in set(self._due) - here:
            del self._due[name]
        for record in records:
            every = record.definition.get("every")
            if record.definition.get("continuous") or every is None or record.status != "active":
                self._due.pop(record.name, None)
                continue
            revision, at = self._due.get(record.name, (0, 0.0))
            busy = record.name in self._running and not self._running[record.name].done()
            if busy or (revision == record.revision and time.monotonic() < at):
                continue
            if record.name in self._running:
                # What went wrong beyond a source's own errors is a bug: it must not pass in silence.
                self._running[record.name].result()
            self._due[record.name] = (record.revision, time.monotonic() + self._seconds(every))
            loop = self._loops.setdefault(record.name, SourceLoop(self._ws, record.name))
            self._running[record.name] = self._pool.submit(_one_turn, loop)

    def _seconds(self, every: str) -> float:
        try:
            return duration(every).total_seconds()
        except ConfigError:
            return 60.0


def _one_turn(loop: SourceLoop) -> None:
    while loop.turn() == 0.0:
        continue
