"""Who drives a run: one driver at a time, told apart by a rising token. Its writes carry the token, or are refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import text, update
from sqlmodel import Session, col, select

from ...core import Conflict, Workspace
from ...registry.engine import reading, writing
from ...registry.journal import _EVENT_LOCK  # events written in a run's own transaction must keep their order
from ...registry.rows import upsert
from ...registry.schema import EventRow, PipelineCacheRow, PipelineDeliveryRow, PipelineRunRow, PipelineStepRow
from ..state import ENDED, PAUSED, QUEUED, RUNNING
from .runs import row_of, step_record

LEASE_SECONDS = 20.0
STEP_COLUMNS = (
    *("state", "attempt", "failures", "crashes", "generation", "width", "output", "inputs", "reads", "writes"),
    *("error", "attempts", "started_at", "ended_at"),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a run.

    Attributes:
        run_id: The run.
        seq: Its number in the registry.
        token: The fencing token: a later driver has a greater one.
        first: When the run was started first.
    """

    run_id: str
    seq: int
    token: int
    first: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: its state, an error, the event and the notifications that go out with it."""

    state: str
    error: str
    event: Mapping[str, Any] | None
    deliveries: Sequence[Mapping[str, Any]] = ()


def owner() -> str:
    """This process, so that others on the machine can tell whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_ticks(os.getpid())}:{uuid4().hex[:8]}"


def acquire(ws: Workspace, run_id: str, who: str, moment: datetime) -> Lease:
    """Become the driver of a run.

    Raises:
        Conflict: Another driver has it, or it has ended.
        NotFound: The run is unknown.
    """
    with writing(ws) as session:
        row = row_of(session, run_id, lock=True)
        if row.state in ENDED:
            raise Conflict(f"run {row.id} has ended as {row.state}: resume it, or start a new run")
        if row.owner and row.lease_until is not None and row.lease_until > moment and not _dead(row.owner):
            raise Conflict(
                f"run {row.id} is driven by {row.owner.rpartition(':')[0]} until {row.lease_until:%H:%M:%S} UTC: "
                "wait for it, or cancel it first"
            )
        row.owner, row.token, row.drives = who, row.token + 1, row.drives + 1
        row.lease_until = moment + timedelta(seconds=LEASE_SECONDS)
        row.state, row.started_at = RUNNING, row.started_at or moment
        return Lease(row.id, row.seq or 0, row.token, row.started_at)


def reopen_ended(ws: Workspace, run_id: str) -> None:
    """Let an ended run be driven again."""
    with writing(ws) as session:
        row = row_of(session, run_id, lock=True)
        if row.state in ENDED or row.state == PAUSED:
            row.state, row.request, row.ended_at, row.error = QUEUED, "", None, ""


def commit(
    ws: Workspace,
    lease: Lease,
    steps: Iterable[Mapping[str, Any]],
    moment: datetime,
    *,
    cached: Sequence[Mapping[str, Any]] = (),
    ending: Ending | None = None,
) -> str:
    """Record steps, renew the lease, and end the run if told so, all or nothing.

    Returns:
        What was asked of the run meanwhile: ``cancel``, ``pause`` or ``""``.

    Raises:
        Conflict: Another driver has taken the run over; nothing was recorded.
    """
    changes: dict[str, Any] = {"lease_until": moment + timedelta(seconds=LEASE_SECONDS)}
    if ending is not None:
        changes = {
            "state": ending.state,
            "error": ending.error,
            "lease_until": None,
            "request": "",
            "ended_at": moment if ending.state in ENDED else None,
        }
    renew = (
        update(PipelineRunRow)
        .where(col(PipelineRunRow.seq) == lease.seq, col(PipelineRunRow.token) == lease.token)
        .where(col(PipelineRunRow.state) == RUNNING)
        .values(**changes)
    )
    with writing(ws) as session:
        if session.execute(renew).rowcount != 1:  # type: ignore[attr-defined]
            if ending is not None and _ended_so(session, lease, ending):
                return ""  # it was committed, and the answer was lost with the connection
            raise Conflict(f"run {lease.run_id} was taken over by another driver, or ended: this one stops")
        rows = [{"run_seq": lease.seq, **step} for step in steps]
        upsert(session, PipelineStepRow, rows, ["run_seq", "key"], list(STEP_COLUMNS))
        upsert(
            session, PipelineCacheRow, [dict(e) for e in cached], ["key"], ["output", "run_id", "step", "created_at"]
        )
        if ending is not None:
            _announce(session, ending, moment)
            return ""
        return session.exec(select(PipelineRunRow.request).where(PipelineRunRow.seq == lease.seq)).one()


def save_steps(ws: Workspace, run_id: str, steps: Iterable[Mapping[str, Any]]) -> None:
    """Rewrite steps of a run that nobody drives."""
    with writing(ws) as session:
        row = row_of(session, run_id, lock=True)
        rows = [{"run_seq": row.seq, **step} for step in steps]
        upsert(session, PipelineStepRow, rows, ["run_seq", "key"], list(STEP_COLUMNS))


def steps_of(ws: Workspace, lease: Lease) -> list[Any]:
    """The recorded steps of a leased run."""
    with reading(ws) as session:
        rows = session.exec(select(PipelineStepRow).where(PipelineStepRow.run_seq == lease.seq))
        return [step_record(row) for row in rows]


def cached_output(ws: Workspace, keys: Sequence[str]) -> dict[str, str]:
    """Cache key to the digest of the result, for those of `keys` that are known."""
    with reading(ws) as session:
        rows = session.exec(select(PipelineCacheRow).where(col(PipelineCacheRow.key).in_(keys)))
        return {row.key: row.output for row in rows}


def is_dead(who: str) -> bool:
    """Whether the process that `owner` described has certainly ended."""
    return _dead(who)


def _ended_so(session: Session, lease: Lease, ending: Ending) -> bool:
    row = session.get(PipelineRunRow, lease.seq)
    return row is not None and (row.token, row.state) == (lease.token, ending.state) and ending.state in ENDED


def _announce(session: Session, ending: Ending, moment: datetime) -> None:
    if ending.event is not None:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _EVENT_LOCK})
        session.add(EventRow(**ending.event, created_at=moment))
    for each in ending.deliveries:
        session.add(PipelineDeliveryRow(**each, state="pending", attempts=[], next_at=moment, created_at=moment))


def _dead(who: str) -> bool:
    parts = who.split(":")
    if len(parts) != 4 or parts[0] != socket.gethostname():
        return False
    return _start_ticks(int(parts[1])) != int(parts[2])


def _start_ticks(pid: int) -> int:
    """Start time of a live process; 0 when there is none. Tells a reused process id."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
