"""Writing what was logged: many entries, of many runs, in one transaction, each accepted or refused by itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, update

from ...core import Conflict, Deleted, NotFound, RaylakeError
from ..columns import clean
from ..schema import MAPPERS
from ..schema.tracking import ACTIVE
from .bulk import LATEST, METRICS, PARAMS, TAGS, insert, read_in
from .labels import Label, refuse_change, same_value

NAME_TAG, PARENT_TAG = "mlflow.runName", "mlflow.parentRunId"  # kept as columns of the run
Point = tuple[str, int, int, float]  # key, step, microseconds, value
_Row = tuple[int, str, int, int, float, bool]
_TABLES = MAPPERS.metadata.tables
_RUN = _TABLES["run"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one call logs to one run: all of it is recorded, or nothing.

    Attributes:
        run_id: The run.
        points: Measurements.
        params: Parameters; one that exists with another value refuses the entry.
        tags: Tags, each replacing an earlier one.
        while_running: Refuse it when the run has ended (MLflow's clients may log to a run that has).
    """

    run_id: str
    points: Sequence[Point] = ()
    params: Sequence[Label] = ()
    tags: Sequence[Label] = ()
    while_running: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    seq: int
    name: str
    status: str
    lifecycle: str


def write(connection: Connection, entries: Sequence[Entry]) -> list[RaylakeError | None]:
    """Record the entries inside an open transaction; the result holds what refused each, or ``None``.

    The runs are locked first, in the order of their numbers: writers of one run wait for each other.
    """
    runs = _locked(connection, {entry.run_id for entry in entries})
    params = _params(connection, {runs[e.run_id].seq for e in entries if e.params and e.run_id in runs})
    outcomes: list[RaylakeError | None] = []
    accepted: list[tuple[int, Entry]] = []
    fresh: list[tuple[int, str, str, bool]] = []
    for entry in entries:
        known = runs.get(entry.run_id)
        error = _refusal(entry, known, params)
        outcomes.append(error)
        if error is None and known is not None:
            accepted.append((known.seq, entry))
            fresh += _new_params(entry, known.seq, params)
    insert(connection, PARAMS, fresh)
    _write_points(connection, accepted)
    _write_tags(connection, accepted)
    return outcomes


def raise_first(outcomes: Iterable[RaylakeError | None]) -> None:
    """Raise the first refusal, if there is one."""
    for error in outcomes:
        if error is not None:
            raise error


def unknown_run(run_id: str) -> NotFound:
    """The error of a run that is not recorded."""
    return NotFound(f"run {run_id!r} is not recorded: registry.runs(ws) lists the newest runs")


def deleted_run(run_id: str) -> Deleted:
    """The error of a run that must not be changed because it is deleted."""
    return Deleted(f"The run {run_id} must be in the 'active' state. Current state is deleted. Restore it first")


def ended_run(run_id: str, name: str, status: str) -> Conflict:
    """The error of a run that has ended."""
    return Conflict(f"run {run_id} ({name!r}) has ended with status {status!r}: start a new run")


def _locked(connection: Connection, ids: set[str]) -> Mapping[str, _Known]:
    rows = read_in(connection, "run", "id, seq, name, status, lifecycle", "id", sorted(ids), lock=True)
    return {row[0]: _Known(*row[1:]) for row in rows}


def _params(connection: Connection, seqs: set[int]) -> dict[int, dict[str, tuple[str, bool]]]:
    found: dict[int, dict[str, tuple[str, bool]]] = {seq: {} for seq in seqs}
    for seq, key, text, typed in read_in(connection, "param", "run_seq, key, value, typed", "run_seq", sorted(seqs)):
        found[seq][key] = (text, typed)
    return found


def _refusal(
    entry: Entry, known: _Known | None, params: Mapping[int, Mapping[str, tuple[str, bool]]]
) -> RaylakeError | None:
    if known is None:
        return unknown_run(entry.run_id)
    if known.lifecycle != ACTIVE:
        return deleted_run(entry.run_id)
    if entry.while_running and known.status != "running":
        return ended_run(entry.run_id, known.name, known.status)
    for key, text, typed in entry.params:
        old = params[known.seq].get(key)
        if old is not None and not same_value(old, (text, typed)):
            return refuse_change(entry.run_id, key, old[0], text)
    return None


def _new_params(
    entry: Entry, seq: int, params: dict[int, dict[str, tuple[str, bool]]]
) -> list[tuple[int, str, str, bool]]:
    fresh = []
    for key, text, typed in entry.params:
        if key not in params[seq]:
            params[seq][key] = (text, typed)
            fresh.append((seq, key, text, typed))
    return fresh


def _write_points(connection: Connection, accepted: Sequence[tuple[int, Entry]]) -> None:
    rows: list[_Row] = []
    latest: dict[tuple[int, str], _Row] = {}
    for seq, entry in accepted:
        for key, step, at, value in entry.points:
            row = (seq, key, step, at, 0.0, True) if math.isnan(value) else (seq, key, step, at, value, False)
            rows.append(row)
            newest = latest.get(row[:2])
            if newest is None or row[2:5] > newest[2:5]:
                latest[row[:2]] = row
    insert(connection, METRICS, rows)
    insert(connection, LATEST, [*latest.values()])


def _write_tags(connection: Connection, accepted: Sequence[tuple[int, Entry]]) -> None:
    rows: dict[tuple[int, str], tuple[int, str, str, bool]] = {}
    for seq, entry in accepted:
        for key, text, typed in entry.tags:
            if key in (NAME_TAG, PARENT_TAG):
                column = _RUN.c.name if key == NAME_TAG else _RUN.c.parent
                connection.execute(update(_RUN).where(_RUN.c.seq == seq).values({column: text}))
            else:
                rows[seq, key] = (seq, key, text, typed)
    insert(connection, TAGS, [*rows.values()])


def cleaned(text: str) -> str:
    """`text` as a database takes it; quick for what needs no change."""
    return text if text.isascii() and "\0" not in text else clean(text)
