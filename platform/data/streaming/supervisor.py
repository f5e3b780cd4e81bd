"""The supervisor: makes what runs equal to what is configured, again and again."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any

from ... import registry
from ...core import NotFound, RaylakeError, Workspace, ensure_ray, exclusive
from ...pipelines import start_scheduler
from ...registry import SourceRecord
from .scheduled import keep_schedules

_POLL_SECONDS = 0.5


def supervise(ws: Workspace, *, stop: threading.Event | None = None) -> None:
    """Run every configured source until `stop` is set: continuous ones in actors, others as scheduled pipelines.

    What is added, changed, paused, resumed or removed meanwhile takes effect within a second or two; sources do not
    wait for each other. The actors, and the scheduler of pipelines that this starts, outlive this process as long as
    their cluster does; killed, they are started again. Killed at any point and run again, everything goes on
    exactly once.

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
    with exclusive(ws, "sources"):
        while not stop.is_set():
            try:
                records = registry.source_records(ws)
            except RaylakeError:
                # The registry is away for a moment: what runs goes on, and the next look decides.
                records = None
            if records is not None:
                _keep_actors(ws, records)
                _keep_scheduler(ws, records)
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


def _keep_scheduler(ws: Workspace, records: list[SourceRecord]) -> None:
    try:
        needed = keep_schedules(ws, records)
    except RaylakeError:
        # As above: the next look makes up for it.
        return
    if needed:
        start_scheduler(ws)


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
