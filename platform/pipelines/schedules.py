"""Schedules, as people handle them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from .. import registry
from ..core import Node, PipelineInvalid, Workspace, check_name
from .definitions import store_definition
from .pipeline import Pipeline
from .sightings import first_sight
from .store import runs as run_store
from .store import schedules as store
from .store.runs import NewRun
from .store.schedules import StoredSchedule
from .triggers import Cron, Every, Once, TimeTrigger, Trigger, times, trigger_from, trigger_json

Overlap = Literal["skip", "queue", "allow"]
Missed = Literal["latest", "all", "none"]
FILLED = ("due", "event")  # parameters that a schedule fills in, when the pipeline has them


def schedule(
    ws: Workspace,
    name: str,
    pipeline: Pipeline,
    trigger: Trigger,
    *,
    params: Mapping[str, Any] | None = None,
    overlap: Overlap = "skip",
    missed: Missed = "latest",
    pool: str = "default",
    priority: int = 0,
    late_after: float | None = None,
    now: datetime | None = None,
) -> StoredSchedule:
    """Run a pipeline by itself from now on; a schedule of the same name is replaced.

    A parameter of the pipeline named `due` gets the time for which a run is due, one named `event` what happened.
    A scheduler must run: `start_scheduler`, or ``raylake pipeline scheduler``.

    Args:
        ws: The workspace.
        name: The schedule's name.
        pipeline: The pipeline.
        trigger: `Cron`, `Every`, `Once`, `OnTable`, `OnModel`, `OnAlert`, `OnEvent`, `OnPipeline` or `OnFiles`.
        params: Parameters of every run.
        overlap: When the run before is still active: ``skip`` this one (recorded as skipped), ``queue`` it, or
            ``allow`` both.
        missed: Times that passed while no scheduler ran: run only the ``latest``, ``all``, or ``none``.
        pool: The pool whose slots its runs take.
        priority: Higher ones start first.
        late_after: Seconds after the due time from which a run that has not ended is notified as late.
        now: The present, for tests.

    Raises:
        PipelineInvalid: A policy or parameter is not valid.
        InvalidName: The name breaks the rule.

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> @pipelines.pipeline
        ... def daily(due: str = ""):
        ...     pass
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = schedule(ws, "every-morning", daily, Cron("0 6 * * *", "Europe/Berlin"))
        >>> [each.name for each in schedules(ws)]
        ['every-morning']
    """
    check_name(name, "schedule")
    check_name(pool, "pool")
    for what, value, known in (("overlap", overlap, get_args(Overlap)), ("missed", missed, get_args(Missed))):
        if value not in known:
            raise PipelineInvalid(f"{what}={value!r} of schedule {name!r} is not valid: use {' or '.join(known)}")
    moment = now or datetime.now(UTC)
    given, wants = _parameters(pipeline, dict(params or {}))
    version, definition = store_definition(ws, pipeline)
    timed = isinstance(trigger, Cron | Every | Once)
    made = StoredSchedule(
        name=name,
        pipeline=pipeline.name,
        version=version,
        definition=definition,
        trigger=trigger_json(trigger),
        params=given,
        overlap=overlap,
        missed=missed,
        pool=pool,
        priority=priority,
        concurrency=pipeline.concurrency,
        late_after=late_after,
        enabled=True,
        next_due=trigger.next_after(moment) if isinstance(trigger, Cron | Every | Once) else None,
        memory={"wants": wants, **({} if timed else first_sight(ws, trigger))},
    )
    store.save(ws, made)
    return made


def schedules(ws: Workspace) -> list[StoredSchedule]:
    """All schedules, by name.

    Example: see `schedule`.

        >>> import tempfile
        >>> schedules(Workspace.open(tempfile.mkdtemp()))
        []
    """
    return store.listed(ws)


def unschedule(ws: Workspace, name: str) -> None:
    """Remove a schedule; its runs stay.

    Raises:
        NotFound: It is not there.

    Example:
        >>> import tempfile
        >>> unschedule(Workspace.open(tempfile.mkdtemp()), "none")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: schedule 'none' is not known; there are: none
    """
    store.find(ws, name)
    store.remove(ws, name)


def enable(ws: Workspace, name: str, on: bool = True, *, now: datetime | None = None) -> None:
    """Switch a schedule on or off. Switched on again, it goes on from now: what passed meanwhile is not made up.

    Raises:
        NotFound: It is not there.

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> @pipelines.pipeline
        ... def nothing():
        ...     pass
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = schedule(ws, "every-morning", nothing, pipelines.Cron("0 6 * * *"))
        >>> enable(ws, "every-morning", False)
        >>> [found.enabled for found in schedules(ws)]
        [False]
    """
    found = store.find(ws, name)
    trigger = trigger_from(found.trigger)
    changes: dict[str, Any] = {"enabled": on}
    if on and not found.enabled:
        if isinstance(trigger, Cron | Every | Once):
            changes["next_due"] = trigger.next_after(now or datetime.now(UTC))
        else:
            changes["memory"] = {"wants": found.memory.get("wants", []), **first_sight(ws, trigger)}
    store.change(ws, name, **changes)


def backfill(
    ws: Workspace, name: str, start: datetime, end: datetime, *, priority: int = -1, pool: str | None = None
) -> list[str]:
    """Queue a run for every time of a schedule from `start` (included) to `end` (excluded).

    Times for which a run exists are left out, so a back-fill may be repeated. Its runs share the pool fairly with
    others, whatever their number.

    Returns:
        Ids of the runs.

    Raises:
        PipelineInvalid: The schedule has no times, or the range is empty or without a time zone.
        NotFound: There is no such schedule.

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> @pipelines.pipeline
        ... def daily(due: str):
        ...     pass
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> made = schedule(ws, "daily", daily, Cron("0 6 * * *"))
        >>> week = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC)
        >>> len(backfill(ws, "daily", *week)), len(backfill(ws, "daily", *week))
        (7, 0)
    """
    found = store.find(ws, name)
    trigger = trigger_from(found.trigger)
    if not isinstance(trigger, Cron | Every | Once):
        raise PipelineInvalid(f"schedule {name!r} waits for {found.trigger['type']}: only times can be filled back")
    if start.tzinfo is None or end.tzinfo is None or not start < end:
        raise PipelineInvalid(
            f"back-fill from {start} to {end} is not valid: give two times with zone, first the earlier"
        )
    made = []
    for at in times(trigger, start, end):
        new = new_run(found, f"{at.isoformat()}", due=at)
        values = {"group": f"backfill:{name}", "priority": priority, "pool": pool or found.pool, "schedule": ""}
        run_id = run_store.create(ws, _replace(new, values))
        made += [run_id] if run_id else []
    return made


def set_pool(ws: Workspace, name: str, slots: int) -> None:
    """Set how many runs of a pool may be active at once; 16 for a pool that nobody sized.

    Raises:
        PipelineInvalid: `slots` is below 0.

    Example:
        >>> import tempfile
        >>> set_pool(Workspace.open(tempfile.mkdtemp()), "backfills", 2)
    """
    check_name(name, "pool")
    if slots < 0:
        raise PipelineInvalid(f"pool {name!r} cannot have {slots} slots: give 0 or more")
    store.size_pool(ws, name, slots)


def signal(ws: Workspace, name: str, payload: Mapping[str, Any] | None = None) -> int:
    """Record that a webhook was called: schedules on ``OnEvent("webhook", "webhook:NAME")`` start. Returns the event.

    Example:
        >>> import tempfile
        >>> signal(Workspace.open(tempfile.mkdtemp()), "new-data", {"day": "2026-01-01"})
        1
    """
    return registry.record_event(ws, "webhook", Node("webhook", check_name(name, "webhook")), payload).id


def new_run(
    found: StoredSchedule, what: str, *, due: datetime | None = None, event: Mapping[str, Any] | None = None
) -> NewRun:
    """The run of a schedule for one time or event; `what` makes it unique."""
    wants = found.memory.get("wants", [])
    params = dict(found.params)
    if "due" in wants and due is not None:
        params["due"] = due.isoformat()
    if "event" in wants and event is not None:
        params["event"] = dict(event)
    return NewRun(
        pipeline=found.pipeline,
        version=found.version,
        definition=found.definition,
        params=params,
        event=event,
        dedupe=f"{found.name}:{what}",
        schedule=found.name,
        due_at=due,
        late_after=found.late_after,
        pool=found.pool,
        priority=found.priority,
        concurrency=found.concurrency,
    )


def _parameters(pipeline: Pipeline, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parameters as JSON without those filled in at each run, and the names of these."""
    wants = [each.name for each in pipeline.parameters if each.name in FILLED and each.name not in given]
    stand_ins = {"due": "2026-01-01T00:00:00+00:00", "event": {}}
    parsed = pipeline.parse({**given, **{name: stand_ins[name] for name in wants}})
    stored = pipeline.params_json(parsed)
    return {name: value for name, value in stored.items() if name not in wants}, wants


def _replace(new: NewRun, values: Mapping[str, Any]) -> NewRun:
    from dataclasses import replace

    return replace(new, **values)


__all__ = ["TimeTrigger", "backfill", "enable", "new_run", "schedule", "schedules", "set_pool", "signal", "unschedule"]
