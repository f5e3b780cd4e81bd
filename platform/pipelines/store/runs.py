"""Runs: created once, listed, asked to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func
from sqlmodel import Session, col, select

from ...core import Conflict, NotFound, Workspace
from ...registry.columns import plain
from ...registry.engine import now, reading, writing
from ...registry.rows import insert_new
from ...registry.schema import PipelineRunRow, PipelineStepRow, PipelineVersionRow
from ..records import Attempt, PipelineRun, StepRun
from ..state import CANCELLED, ENDED, PAUSED, QUEUED, RUNNING


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be created.

    Attributes:
        pipeline: The pipeline's name.
        version: Number of its version.
        definition: Digest of the pickled pipeline.
        params: Parameters as JSON.
        dedupe: No second run with this key is created.
        state: ``queued``, or ``skipped`` with `error` as the reason.
    """

    pipeline: str
    version: int
    definition: str
    params: Mapping[str, Any]
    event: Mapping[str, Any] | None = None
    dedupe: str | None = None
    schedule: str = ""
    due_at: datetime | None = None
    late_after: float | None = None
    pool: str = "default"
    priority: int = 0
    group: str = ""
    concurrency: int | None = None
    state: str = QUEUED
    error: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)


def record_version(ws: Workspace, pipeline: str, fingerprint: str, graph: list[Any]) -> int:
    """The number of a pipeline's version, recorded when it is new; 1 for the first."""
    query = select(PipelineVersionRow.number).where(
        PipelineVersionRow.pipeline == pipeline, PipelineVersionRow.fingerprint == fingerprint
    )
    with reading(ws) as session:
        if (found := session.exec(query).first()) is not None:
            return found
    with writing(ws) as session:
        if (found := session.exec(query).first()) is not None:
            return found
        newest = session.scalar(
            select(func.max(PipelineVersionRow.number)).where(PipelineVersionRow.pipeline == pipeline)
        )
        number = (newest or 0) + 1
        session.add(
            PipelineVersionRow(pipeline=pipeline, number=number, fingerprint=fingerprint, graph=graph, created_at=now())
        )
        return number


def version_graph(ws: Workspace, pipeline: str, number: int) -> list[Any]:
    """The description of one version.

    Raises:
        NotFound: It is not recorded.
    """
    with reading(ws) as session:
        row = session.get(PipelineVersionRow, (pipeline, number))
        if row is None:
            raise NotFound(f"version {number} of pipeline {pipeline!r} is not recorded")
        return row.graph


def versions(ws: Workspace) -> list[tuple[str, int, datetime]]:
    """Pipelines that were run or scheduled: name, newest version, when it was recorded."""
    query = (
        select(
            PipelineVersionRow.pipeline, func.max(PipelineVersionRow.number), func.max(PipelineVersionRow.created_at)
        )
        .group_by(PipelineVersionRow.pipeline)
        .order_by(PipelineVersionRow.pipeline)
    )
    with reading(ws) as session:
        return [(name, number, moment) for name, number, moment in session.exec(query)]


def create(ws: Workspace, new: NewRun) -> str | None:
    """Create a run and return its id; ``None`` when one with the same `dedupe` exists."""
    with writing(ws) as session:
        return create_in(session, new, now())


def create_in(session: Session, new: NewRun, moment: datetime) -> str | None:
    """As `create`, inside the caller's transaction."""
    if new.dedupe is not None:
        taken = session.exec(select(PipelineRunRow.id).where(PipelineRunRow.dedupe == new.dedupe)).first()
        if taken is not None:
            return None
    start = new.due_at or moment
    row = {
        "id": new.id,
        "pipeline": new.pipeline,
        "version": new.version,
        "definition": new.definition,
        "state": new.state,
        "request": "",
        "params": plain(new.params, "params"),
        "event": None if new.event is None else plain(new.event, "event"),
        "dedupe": new.dedupe,
        "schedule": new.schedule,
        "due_at": new.due_at,
        "late_at": None if new.late_after is None else start + timedelta(seconds=new.late_after),
        "pool": new.pool,
        "priority": new.priority,
        "fair_group": new.group or new.pipeline,
        "concurrency": new.concurrency,
        "owner": "",
        "token": 0,
        "drives": 0,
        "error": new.error,
        "created_at": moment,
        "ended_at": moment if new.state in ENDED else None,
    }
    insert_new(session, PipelineRunRow, [row])
    return new.id


def find(ws: Workspace, run_id: str) -> PipelineRun:
    """One run with its steps; `run_id` may be a unique beginning of the id.

    Raises:
        NotFound: No run, or more than one, begins so.
    """
    with reading(ws) as session:
        row = row_of(session, run_id)
        graph = session.get(PipelineVersionRow, (row.pipeline, row.version))
        steps = session.exec(select(PipelineStepRow).where(PipelineStepRow.run_seq == row.seq)).all()
        return run_record(row, steps, tuple(graph.graph) if graph else ())


def definition_of(ws: Workspace, run_id: str) -> tuple[str, dict[str, Any]]:
    """Digest of the pickled pipeline, and the parameters of a run."""
    with reading(ws) as session:
        row = row_of(session, run_id)
        return row.definition, row.params


def listed(
    ws: Workspace,
    *,
    pipeline: str | None = None,
    state: str | None = None,
    schedule: str | None = None,
    before: str | None = None,
    limit: int | None = 100,
) -> list[PipelineRun]:
    """Runs without their steps, newest first."""
    query = select(PipelineRunRow).order_by(col(PipelineRunRow.seq).desc()).limit(limit)
    for column, wanted in (
        (PipelineRunRow.pipeline, pipeline),
        (PipelineRunRow.state, state),
        (PipelineRunRow.schedule, schedule),
    ):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    with reading(ws) as session:
        if before is not None:
            query = query.where(col(PipelineRunRow.seq) < (row_of(session, before).seq or 0))
        return [run_record(row) for row in session.exec(query)]


def ask(ws: Workspace, run_id: str, request: str, moment: datetime | None = None) -> str:
    """Ask for ``cancel`` or ``pause``; without a live driver it happens at once. Returns the state after it.

    Raises:
        Conflict: The run has ended.
    """
    moment = moment or now()
    with writing(ws) as session:
        row = row_of(session, run_id, lock=True)
        if row.state in ENDED:
            raise Conflict(f"run {row.id} has ended as {row.state}: it cannot be {request}led or paused any more")
        alive = row.state == RUNNING and row.lease_until is not None and row.lease_until > moment
        if alive:
            row.request = request
        elif request == "cancel":
            row.state, row.request, row.ended_at, row.error = CANCELLED, "", moment, "cancelled"
        else:
            row.state, row.request = PAUSED, ""
        return row.state


def row_of(session: Session, run_id: str, *, lock: bool = False) -> PipelineRunRow:
    """The row of a run, by its id or the unique beginning of it (6 characters or more)."""
    query = select(PipelineRunRow).where(PipelineRunRow.id == run_id)
    row = session.exec(query.with_for_update() if lock else query).first()
    if row is None and 6 <= len(run_id) < 32 and run_id.isalnum():
        found = session.exec(select(PipelineRunRow).where(col(PipelineRunRow.id).startswith(run_id)).limit(2)).all()
        row = found[0] if len(found) == 1 else None
    if row is None:
        raise NotFound(f"pipeline run {run_id!r} is not recorded: pipelines.runs(ws) lists the newest runs")
    return row


def run_record(row: PipelineRunRow, steps: Any = (), graph: tuple[Mapping[str, Any], ...] = ()) -> PipelineRun:
    """The frozen record of a row."""
    place = {node["key"]: index for index, node in enumerate(graph)}
    made = sorted((step_record(each) for each in steps), key=lambda s: _order(s.key, place))
    return PipelineRun(
        id=row.id,
        pipeline=row.pipeline,
        version=row.version,
        state=row.state,
        params=row.params,
        schedule=row.schedule,
        due_at=row.due_at,
        pool=row.pool,
        priority=row.priority,
        group=row.fair_group,
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        steps=tuple(made),
        graph=graph,
    )


def step_record(row: PipelineStepRow) -> StepRun:
    """The frozen record of a step's row."""
    return StepRun(
        key=row.key,
        state=row.state,
        attempt=row.attempt,
        failures=row.failures,
        crashes=row.crashes,
        generation=row.generation,
        width=row.width,
        output=row.output,
        inputs=row.inputs,
        reads=tuple(row.reads),
        writes=tuple(row.writes),
        error=row.error,
        attempts=tuple(_attempt(each) for each in row.attempts),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _attempt(stored: Mapping[str, Any]) -> Attempt:
    times = [None if stored[k] is None else datetime.fromisoformat(stored[k]) for k in ("started_at", "ended_at")]
    return Attempt(stored["number"], times[0], times[1], stored["where"], stored["error"], stored["log"])


def _order(key: str, place: Mapping[str, int]) -> tuple[int, int, str]:
    node, _, rest = key.partition("[")
    return place.get(node, len(place)), int(rest[:-1]) if rest[:-1].isdecimal() else -1, key
