"""Schedulers that turn: each tells the registry, so that people see it without asking the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlmodel import col, select

from ...core import Workspace
from ...registry.engine import reading, writing
from ...registry.rows import upsert
from ...registry.schema import SchedulerRow
from .leases import is_dead

BEAT_SECONDS = 5.0
GONE = timedelta(days=1)  # a scheduler that was silent for so long is forgotten


@dataclass(frozen=True, slots=True)
class Beat:
    """What a scheduler last told of itself.

    Attributes:
        owner: Its process: host, process id, start time, a random part.
        started_at: When it came up.
        seen_at: When it took its last turn.
        period: Seconds between two turns.
        turns: Turns so far.
        busy: CPU seconds spent in them.
        error: Why its last turn failed, or ``""``.
    """

    owner: str
    started_at: datetime
    seen_at: datetime
    period: float
    turns: int = 0
    busy: float = 0.0
    error: str = ""


def tell(ws: Workspace, beat: Beat) -> None:
    """Record a beat."""
    values = {name: getattr(beat, name) for name in Beat.__slots__}
    with writing(ws) as session:
        session.execute(delete(SchedulerRow).where(col(SchedulerRow.seen_at) < beat.seen_at - GONE))
        upsert(session, SchedulerRow, [values], ["owner"], [name for name in values if name != "owner"])


def forget(ws: Workspace, beat: Beat) -> None:
    """The scheduler has stopped."""
    with writing(ws) as session:
        session.execute(delete(SchedulerRow).where(col(SchedulerRow.owner) == beat.owner))


def alive(ws: Workspace, moment: datetime) -> list[Beat]:
    """The beats of schedulers that are not known to be dead and were not silent for too long."""
    with reading(ws) as session:
        rows = session.exec(select(SchedulerRow).order_by(col(SchedulerRow.started_at))).all()
    beats = [Beat(**{name: getattr(row, name) for name in Beat.__slots__}) for row in rows]
    return [each for each in beats if _fresh(each, moment) and not is_dead(each.owner)]


def _fresh(beat: Beat, moment: datetime) -> bool:
    return (moment - beat.seen_at).total_seconds() < 3 * (BEAT_SECONDS + beat.period) + 10
