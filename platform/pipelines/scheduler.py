"""The scheduler: one turn is `tick`; its whole state is in the registry, so it may die between any two lines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, get_args

from ..core import PipelineError, RaylakeError, Workspace
from . import admission
from .definitions import load_definition
from .delivery import deliver_due
from .notification import deliveries
from .schedules import new_run
from .sightings import Look, sightings
from .state import SKIPPED
from .store import leases
from .store import schedules as store
from .store.runs import NewRun
from .store.schedules import StoredSchedule
from .triggers import Cron, EventTrigger, Every, Once, trigger_from

MOST_MISSED = 1000  # times of one schedule that are made up in one turn
MISSED_SECONDS = 60.0  # a time older than this when it is seen was missed
MOST_DRIVES = 20
EVENT_TRIGGERS = frozenset(each.__name__ for each in get_args(EventTrigger))
_LOG = logging.getLogger(__name__)


class Launcher(Protocol):
    """Starts drivers."""

    def launch(self, ws: Workspace, run_id: str) -> None:
        """Start a driver for a run, without waiting for it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did.

    Attributes:
        fired: Runs created by schedules.
        launched: Runs whose driver was started.
        recovered: Those of them whose earlier driver had died.
        delivered: Notifications sent.
    """

    fired: tuple[str, ...] = ()
    launched: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    delivered: int = 0


def tick(ws: Workspace, launcher: Launcher, now: datetime) -> Turn:
    """One turn: fire what is due, start what has room, take over what was abandoned, tell whom it concerns.

    Several schedulers may take turns at once: every step is one transaction that only one of them wins. A time or
    event makes a run in the same transaction in which it is marked as done, so none is run twice or forgotten. A
    clock that goes back fires nothing again, because a schedule's next time only moves forward.

    Args:
        ws: The workspace.
        launcher: Starts drivers.
        now: The present, UTC; tests give their own.

    Example:
        >>> import tempfile
        >>> from datetime import UTC
        >>> tick(Workspace.open(tempfile.mkdtemp()), None, datetime(2026, 1, 1, tzinfo=UTC)).fired
        ()
    """
    fired: list[str] = []
    for each in store.due(ws, now):
        fired += _fire_time(ws, each, now)
    look = Look(ws)
    for each in store.waiting_for_events(ws):
        if each.trigger["type"] in EVENT_TRIGGERS:  # else a time that comes no more
            fired += _fire_event(look, each, now)
    recovered = _recover(ws, launcher, now)
    launched = _admit(ws, launcher, now)
    _tell_late(ws, now)
    return Turn(tuple(fired), (*recovered, *launched), tuple(recovered), deliver_due(ws, now=now))


def _fire_time(ws: Workspace, schedule: StoredSchedule, now: datetime) -> list[str]:
    trigger = trigger_from(schedule.trigger)
    assert isinstance(trigger, Cron | Every | Once)
    due: list[datetime] = []
    at = schedule.next_due
    while at is not None and at <= now and len(due) < MOST_MISSED:
        due.append(at)
        at = trigger.next_after(at)
    if schedule.missed != "all" and at is not None and at <= now:
        # Too many to walk through: only the newest counts.
        at = trigger.next_after(now)
    runs = [new_run(schedule, moment.isoformat(), due=moment) for moment in _kept(schedule, due, now)]
    return _fire(ws, schedule, runs, now, at, schedule.memory)


def _kept(schedule: StoredSchedule, due: Sequence[datetime], now: datetime) -> Sequence[datetime]:
    if schedule.missed == "all":
        return due
    if schedule.missed == "latest":
        return due[-1:]
    return [moment for moment in due[-1:] if (now - moment).total_seconds() <= MISSED_SECONDS]


def _fire_event(look: Look, schedule: StoredSchedule, now: datetime) -> list[str]:
    trigger = trigger_from(schedule.trigger)
    try:
        seen, memory = sightings(look, trigger, schedule.memory)  # type: ignore[arg-type]
    except RaylakeError as error:
        _LOG.warning("schedule %s cannot look for events: %s", schedule.name, error)
        return []
    if memory == schedule.memory:
        return []
    chosen = seen if schedule.missed == "all" or not isinstance(memory.get("version"), int) else seen[-1:]
    runs = [new_run(schedule, each.what, event=each.event) for each in chosen]
    return _fire(look.ws, schedule, runs, now, None, memory)


def _fire(
    ws: Workspace,
    schedule: StoredSchedule,
    runs: Sequence[NewRun],
    now: datetime,
    next_due: datetime | None,
    memory: object,
) -> list[str]:
    if schedule.overlap == "skip" and runs and store.active_runs(ws, schedule.name):
        reason = "the run before it was still active (overlap=skip)"
        runs = [replace(each, state=SKIPPED, error=reason) for each in runs]
    made = store.fire(ws, schedule, runs, now, next_due=next_due, memory=memory)  # type: ignore[arg-type]
    skipped = {each.id for each in runs if each.state == SKIPPED}
    return [run_id for run_id in made or [] if run_id not in skipped]


def _admit(ws: Workspace, launcher: Launcher, now: datetime) -> list[str]:
    queued, active = store.queue(ws)
    if not queued:
        return []
    serial = store.serial(ws, {run.schedule for run in queued if run.schedule})
    chosen = admission.choose(queued, active, store.pools(ws), serial)
    launched = store.launching(ws, [each.id for each in chosen], now)
    for run_id in launched:
        launcher.launch(ws, run_id)
    return launched


def _recover(ws: Workspace, launcher: Launcher, now: datetime) -> list[str]:
    """Start a new driver for runs whose driver is gone: its process has ended, or its lease has run out."""
    recovered = []
    for run in store.running(ws):
        expired = run.lease_until is None or run.lease_until <= now
        if not expired and not (run.owner and leases.is_dead(run.owner)):
            continue
        if run.drives >= MOST_DRIVES:
            store.give_up(ws, run, now, f"its driver died {run.drives} times: look at the logs of the Ray workers")
        elif store.take_over(ws, run, now):
            launcher.launch(ws, run.id)
            recovered.append(run.id)
    return recovered


def _tell_late(ws: Workspace, now: datetime) -> None:
    for run_id, pipeline, definition in store.late(ws, now):
        try:
            notify = load_definition(ws, definition).notify
        except PipelineError as error:
            _LOG.warning("run %s is late, and nobody can be told: %s", run_id, error)
            notify = ()
        store.told_late(ws, run_id, deliveries(notify, "late", pipeline, run_id, "it has not ended in time"), now)
