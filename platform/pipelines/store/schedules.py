"""Schedules, pools and the queue: what the scheduler reads and changes, each change one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlmodel import col, select

from ...core import NotFound, Workspace
from ...registry.columns import plain
from ...registry.engine import now, reading, writing
from ...registry.rows import listed as in_words
from ...registry.rows import upsert
from ...registry.schema import PipelineDeliveryRow, PipelinePoolRow, PipelineRunRow, PipelineScheduleRow
from ..admission import Candidate
from ..state import FAILED, PAUSED, QUEUED, RUNNING
from .runs import NewRun, create_in

LAUNCH_SECONDS = 60.0  # how long a launched driver may take to come up
WINDOW = 100  # runs of each group that are looked at in one turn
ACTIVE = (QUEUED, RUNNING, PAUSED)


@dataclass(frozen=True, slots=True)
class StoredSchedule:
    """A schedule as the registry has it.

    Attributes:
        name: Its name.
        pipeline: The pipeline's name.
        version: Number of the pipeline's version.
        definition: Digest of the pickled pipeline.
        trigger: As JSON.
        params: Given to every run.
        overlap: ``skip``, ``queue`` or ``allow``.
        missed: ``latest``, ``all`` or ``none``.
        pool: The pool.
        priority: Higher ones start first.
        concurrency: The pipeline's limit.
        late_after: Seconds after the due time from which a run that has not ended is late.
        enabled: Whether it starts runs.
        next_due: The next time; ``None`` for events, and for times when none comes any more.
        memory: What an event trigger has seen.
    """

    name: str
    pipeline: str
    version: int
    definition: str
    trigger: Mapping[str, Any]
    params: Mapping[str, Any]
    overlap: str
    missed: str
    pool: str
    priority: int
    concurrency: int | None
    late_after: float | None
    enabled: bool
    next_due: datetime | None
    memory: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A run whose driver is gone or late."""

    id: str
    drives: int
    owner: str
    lease_until: datetime | None


def save(ws: Workspace, schedule: StoredSchedule) -> None:
    """Store a schedule, replacing the one of its name."""
    values = {name: getattr(schedule, name) for name in StoredSchedule.__slots__}
    values["params"] = plain(schedule.params, "params")
    values["created_at"] = now()
    with writing(ws) as session:
        upsert(session, PipelineScheduleRow, [values], ["name"], [n for n in values if n not in ("name", "created_at")])


def find(ws: Workspace, name: str) -> StoredSchedule:
    """One schedule.

    Raises:
        NotFound: It is not there.
    """
    with reading(ws) as session:
        row = session.get(PipelineScheduleRow, name)
        if row is None:
            names = session.exec(select(PipelineScheduleRow.name)).all()
            raise NotFound(f"schedule {name!r} is not known; there are: {in_words(names)}")
        return _record(row)


def listed(ws: Workspace) -> list[StoredSchedule]:
    """All schedules by name."""
    with reading(ws) as session:
        return [_record(row) for row in session.exec(select(PipelineScheduleRow).order_by(PipelineScheduleRow.name))]


def serial(ws: Workspace, names: Collection[str]) -> set[str]:
    """Those of the schedules of which only one run may be active."""
    if not names:
        return set()
    query = select(PipelineScheduleRow.name).where(
        col(PipelineScheduleRow.name).in_(names), col(PipelineScheduleRow.overlap) != "allow"
    )
    with reading(ws) as session:
        return set(session.exec(query))


def change(ws: Workspace, name: str, **changes: Any) -> None:
    """Change columns of a schedule that exists."""
    with writing(ws) as session:
        session.execute(update(PipelineScheduleRow).where(col(PipelineScheduleRow.name) == name).values(**changes))


def remove(ws: Workspace, name: str) -> None:
    """Forget a schedule; its runs stay."""
    with writing(ws) as session:
        session.delete(session.get_one(PipelineScheduleRow, name))


def due(ws: Workspace, moment: datetime) -> list[StoredSchedule]:
    """Enabled schedules whose time has come, the most overdue first."""
    query = (
        select(PipelineScheduleRow)
        .where(col(PipelineScheduleRow.next_due) <= moment, col(PipelineScheduleRow.enabled).is_(True))
        .order_by(col(PipelineScheduleRow.next_due))
    )
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def waiting_for_events(ws: Workspace) -> list[StoredSchedule]:
    """Enabled schedules without a next time: those of events."""
    query = select(PipelineScheduleRow).where(
        col(PipelineScheduleRow.next_due).is_(None), col(PipelineScheduleRow.enabled).is_(True)
    )
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def active_runs(ws: Workspace, schedule: str) -> int:
    """How many runs of a schedule wait, run or are paused."""
    query = select(func.count()).where(PipelineRunRow.schedule == schedule, col(PipelineRunRow.state).in_(ACTIVE))
    with reading(ws) as session:
        return int(session.scalar(query) or 0)


def fire(
    ws: Workspace,
    seen: StoredSchedule,
    runs: Sequence[NewRun],
    moment: datetime,
    *,
    next_due: datetime | None,
    memory: Mapping[str, Any],
) -> list[str] | None:
    """Create runs and move the schedule on, all or nothing; ``None`` when another scheduler did it meanwhile."""
    with writing(ws) as session:
        query = select(PipelineScheduleRow).where(PipelineScheduleRow.name == seen.name).with_for_update()
        row = session.exec(query).first()
        if row is None or not row.enabled or row.next_due != seen.next_due or row.memory != seen.memory:
            return None
        row.next_due, row.memory = next_due, dict(memory)
        made = [create_in(session, run, moment) for run in runs]
        return [run_id for run_id in made if run_id is not None]


def queue(ws: Workspace) -> tuple[list[Candidate], list[Candidate]]:
    """Queued runs (at most `WINDOW` of each group), and those that hold a slot."""
    rank = func.row_number().over(
        partition_by=(PipelineRunRow.pool, PipelineRunRow.fair_group),
        order_by=(col(PipelineRunRow.priority).desc(), col(PipelineRunRow.seq)),
    )
    ranked = select(col(PipelineRunRow.seq), rank.label("place")).where(PipelineRunRow.state == QUEUED).subquery()
    first = select(ranked.c.seq).where(ranked.c.place <= WINDOW)
    with reading(ws) as session:
        waiting = session.exec(select(PipelineRunRow).where(col(PipelineRunRow.seq).in_(first))).all()
        if not waiting:
            return [], []
        active = session.exec(select(PipelineRunRow).where(PipelineRunRow.state == RUNNING)).all()
        return [_candidate(row) for row in waiting], [_candidate(row) for row in active]


def pools(ws: Workspace) -> dict[str, int]:
    """Pool to its slots, for those that were sized."""
    with reading(ws) as session:
        return {row.name: row.slots for row in session.exec(select(PipelinePoolRow))}


def size_pool(ws: Workspace, name: str, slots: int) -> None:
    """Set the slots of a pool."""
    with writing(ws) as session:
        upsert(session, PipelinePoolRow, [{"name": name, "slots": slots}], ["name"], ["slots"])


def launching(ws: Workspace, run_ids: Collection[str], moment: datetime) -> list[str]:
    """Mark queued runs as being launched; returns those that still were queued."""
    taken = []
    with writing(ws) as session:
        for run_id in run_ids:
            statement = (
                update(PipelineRunRow)
                .where(col(PipelineRunRow.id) == run_id, col(PipelineRunRow.state) == QUEUED)
                .values(state=RUNNING, owner="", lease_until=moment + timedelta(seconds=LAUNCH_SECONDS))
            )
            if session.execute(statement).rowcount == 1:  # type: ignore[attr-defined]
                taken.append(run_id)
    return taken


def running(ws: Workspace) -> list[Abandoned]:
    """Runs that are said to be driven, for the scheduler to see whether they are."""
    query = select(PipelineRunRow).where(PipelineRunRow.state == RUNNING)
    with reading(ws) as session:
        return [Abandoned(row.id, row.drives, row.owner, row.lease_until) for row in session.exec(query)]


def take_over(ws: Workspace, run: Abandoned, moment: datetime) -> bool:
    """Free an abandoned run for a new driver; false when another scheduler or driver was faster."""
    statement = (
        update(PipelineRunRow)
        .where(col(PipelineRunRow.id) == run.id, col(PipelineRunRow.state) == RUNNING)
        .where(col(PipelineRunRow.owner) == run.owner, col(PipelineRunRow.lease_until) == run.lease_until)
        .values(owner="", lease_until=moment + timedelta(seconds=LAUNCH_SECONDS))
    )
    with writing(ws) as session:
        return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]


def give_up(ws: Workspace, run: Abandoned, moment: datetime, error: str) -> None:
    """End a run whose drivers die again and again."""
    statement = (
        update(PipelineRunRow)
        .where(col(PipelineRunRow.id) == run.id, col(PipelineRunRow.owner) == run.owner)
        .values(state=FAILED, error=error, ended_at=moment, lease_until=None)
    )
    with writing(ws) as session:
        session.execute(statement)


def late(ws: Workspace, moment: datetime) -> list[tuple[str, str, str]]:
    """Active runs that have become late: id, pipeline, definition."""
    query = select(PipelineRunRow).where(col(PipelineRunRow.state).in_(ACTIVE), col(PipelineRunRow.late_at) <= moment)
    with reading(ws) as session:
        return [(row.id, row.pipeline, row.definition) for row in session.exec(query)]


def told_late(ws: Workspace, run_id: str, messages: Sequence[Mapping[str, Any]], moment: datetime) -> None:
    """Record the notifications about a late run, once."""
    statement = (
        update(PipelineRunRow)
        .where(col(PipelineRunRow.id) == run_id, col(PipelineRunRow.late_at).is_not(None))
        .values(late_at=None)
    )
    with writing(ws) as session:
        if session.execute(statement).rowcount == 1:  # type: ignore[attr-defined]
            for each in messages:
                row = PipelineDeliveryRow(**each, state="pending", attempts=[], next_at=moment, created_at=moment)
                session.add(row)


def _candidate(row: PipelineRunRow) -> Candidate:
    return Candidate(
        row.seq or 0, row.id, row.pipeline, row.pool, row.priority, row.fair_group, row.schedule, row.concurrency
    )


def _record(row: PipelineScheduleRow) -> StoredSchedule:
    return StoredSchedule(**{name: getattr(row, name) for name in StoredSchedule.__slots__})
