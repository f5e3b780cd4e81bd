"""Notifications: claimed by one sender at a time, with the history of every attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select

from ...core import Workspace
from ...registry.engine import reading, writing
from ...registry.schema import PipelineDeliveryRow

CLAIM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification.

    Attributes:
        id: Rises; it is also the message's id for the receiver, the same in every attempt.
        run_id: The run that it is about.
        occasion: ``finished``, ``failed``, ``cancelled`` or ``late``.
        channel: Where to, as JSON.
        body: What is told.
        state: ``pending``, ``delivered`` or ``failed`` (given up).
        attempts: Each with ``at``, ``ok`` and ``answer``.
    """

    id: int
    run_id: str
    occasion: str
    channel: Mapping[str, Any]
    body: Mapping[str, Any]
    state: str
    attempts: tuple[Mapping[str, Any], ...]
    created_at: datetime


def claim(ws: Workspace, moment: datetime, run_id: str | None = None, limit: int = 100) -> list[Delivery]:
    """Deliveries that are due; nobody else gets them for a minute."""
    query = (
        select(PipelineDeliveryRow)
        .where(PipelineDeliveryRow.state == "pending", col(PipelineDeliveryRow.next_at) <= moment)
        .order_by(col(PipelineDeliveryRow.next_at))
        .limit(limit)
    )
    if run_id is not None:
        query = query.where(PipelineDeliveryRow.run_id == run_id)
    with reading(ws) as session:
        if session.exec(query).first() is None:  # mostly nothing is due: then no lock is taken
            return []
    with writing(ws) as session:
        rows = session.exec(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            row.next_at = moment + timedelta(seconds=CLAIM_SECONDS)
        return [_record(row) for row in rows]


def attempted(ws: Workspace, delivery_id: int, attempt: Mapping[str, Any], again: datetime | None, ok: bool) -> None:
    """Record an attempt; `again` is when the next one is due, ``None`` when there is none."""
    with writing(ws) as session:
        row = session.get_one(PipelineDeliveryRow, delivery_id)
        row.attempts = [*row.attempts, dict(attempt)]
        if ok:
            row.state = "delivered"
        elif again is None:
            row.state = "failed"
        else:
            row.next_at = again


def listed(ws: Workspace, run_id: str | None = None, limit: int | None = 100) -> list[Delivery]:
    """Deliveries, newest first."""
    query = select(PipelineDeliveryRow).order_by(col(PipelineDeliveryRow.seq).desc()).limit(limit)
    if run_id is not None:
        query = query.where(PipelineDeliveryRow.run_id == run_id)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def _record(row: PipelineDeliveryRow) -> Delivery:
    return Delivery(
        row.seq or 0,
        row.run_id,
        row.occasion,
        row.channel,
        row.body,
        row.state,
        tuple(row.attempts),
        row.created_at,
    )
