"""Rows taken out of files and put into their place: how delete, merge and the like change a table.

A `plan` looks at one version and says what is to change; only the files that hold such rows are written anew, by
threads of this process, or by Ray tasks when there is much of it. One commit swaps the files. When another
writer was faster, the plan is made again on the version that it made, so no row is lost and none comes back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from ..core import Conflict, NotFound, Ref, Workspace, ensure_ray
from .commits import Commit, Committed, SchemaMode, Stale, commit_files, find_committed, open_or_create
from .delta_log import arrow_schema, count_rows, is_empty_creation, open_delta
from .file_writer import FileWriter, NewFile, remove_files
from .in_flight import in_flight
from .live_files import LiveFile, file_dataset
from .storage_errors import storage_errors
from .write import discard_uncommitted

_ROUNDS = 50
_INLINE_BYTES = 256 * 1024 * 1024
_BATCH_ROWS = 262_144


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one file.

    Attributes:
        file: The file.
        drop: Numbers of the rows that leave it.
        add: Rows that come in their place, or ``None``.
    """

    file: LiveFile
    drop: np.ndarray[Any, np.dtype[np.int64]]
    add: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one version of a table.

    Attributes:
        schema: The table's columns afterwards.
        changes: Files that change; all others stay as they are.
        insert: Rows for new files.
        staged: Files that are written already and are only to be committed.
        staged_schema: The columns of those.
        metrics: Figures that the version keeps.
    """

    schema: pa.Schema
    changes: Sequence[Change] = ()
    insert: pa.Table | None = None
    staged: Sequence[NewFile] = ()
    staged_schema: pa.Schema | None = None
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not self.changes and not self.staged and (self.insert is None or self.insert.num_rows == 0)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What is to be done to a table.

    Attributes:
        ref: The table.
        operation: Recorded name of what is done.
        app: Application transaction (id, version), or ``None``.
        schema_mode: ``enforce`` or ``evolve``.
        facts: More facts kept beside the commit.
        creates: Columns of the table if it has to be made; ``None`` when it must exist.
        partition_by: Its partition columns then.
    """

    ref: Ref
    operation: str
    app: tuple[str, int] | None = None
    schema_mode: SchemaMode = "enforce"
    facts: dict[str, Any] = field(default_factory=dict)
    creates: pa.Schema | None = None
    partition_by: Sequence[str] = ()


def rewrite(ws: Workspace, job: Rewriting, make_plan: Callable[[DeltaTable], Plan]) -> Committed:
    """Carry out a plan in ONE commit; made again as often as another writer is faster.

    Raises:
        NotFound: There is no such table.
        Conflict: Others write the table all the time.
        StorageError: The disk is full, read-only or unreachable; nothing is visible then.
    """
    url = ws.table_url(job.ref)
    if job.app is not None and (done := find_committed(url, job.app)) is not None:
        return done
    for _ in range(_ROUNDS):
        table = _open(url, job)
        with in_flight(url):
            plan = make_plan(table)
            if plan.is_empty and job.app is None:
                facts = {"operation": job.operation, "metrics": plan.metrics}
                return Committed(table.version(), count_rows(table), arrow_schema(table), facts, repeated=True)
            try:
                return _carry_out(ws, url, table, job, plan)
            except Stale:
                continue
    raise Conflict(f"table {job.ref} is written by others all the time: nothing was changed; run it again later")


def _open(url: str, job: Rewriting) -> DeltaTable:
    if job.creates is not None:
        with storage_errors(url):
            return open_or_create(url, job.creates, job.partition_by)
    table = open_delta(url)
    if table is None or is_empty_creation(table):
        raise NotFound(f"table {str(job.ref)!r} does not exist: write it first")
    return table


def _carry_out(ws: Workspace, url: str, table: DeltaTable, job: Rewriting, plan: Plan) -> Committed:
    partitions = tuple(table.metadata().partition_columns)
    files = write_changes(ws, url, plan, partitions)
    commit = Commit(
        url=url,
        schema=plan.schema,
        mode="rewrite",
        schema_mode=job.schema_mode,
        app=job.app,
        base=table.version(),
        facts={
            "operation": job.operation,
            **job.facts,
            "metrics": {**plan.metrics, **job.facts.get("metrics", {})},
        },
        remove=tuple(change.file for change in plan.changes),
        also=plan.staged_schema,
    )
    try:
        done = commit_files(commit, [*files, *plan.staged])
    except BaseException:
        # Staged files stay: a next plan needs them, and their maker removes them.
        discard_uncommitted(url, files)
        raise
    if done.repeated:
        remove_files(url, [file.path for file in files])
    return done


def write_changes(ws: Workspace, url: str, plan: Plan, partitions: Sequence[str]) -> list[NewFile]:
    """Write the files that take the place of the changed ones, and those of inserted rows; commits nothing."""
    work = [change for change in plan.changes if change.add is not None or len(change.drop) != change.file.rows]
    if sum(change.file.size for change in work) > _INLINE_BYTES:
        from .ray_rewrite import rewrite_on_ray

        ensure_ray(ws)
        files = rewrite_on_ray(url, work, plan.schema, partitions)
    else:
        files = rewrite_here(url, work, plan.schema, partitions)
    if plan.insert is None or plan.insert.num_rows == 0:
        return files
    writer = FileWriter(url, plan.schema, partitions)
    try:
        writer.write(plan.insert)
        return [*files, *writer.close()]
    except BaseException:
        writer.discard()
        remove_files(url, [file.path for file in files])
        raise


def rewrite_here(url: str, changes: Sequence[Change], schema: pa.Schema, partitions: Sequence[str]) -> list[NewFile]:
    """Write changed files with threads; after an error none is left."""
    written: list[list[NewFile]] = []
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1), thread_name_prefix="rewrite") as pool:
        running = [pool.submit(rewrite_file, url, change, schema, partitions) for change in changes]
        try:
            for job in running:
                written.append(job.result())
        except BaseException:
            for job in running:
                if not job.cancel() and job.exception() is None:
                    remove_files(url, [file.path for file in job.result()])
            raise
    return [file for files in written for file in files]


def rewrite_file(url: str, change: Change, schema: pa.Schema, partitions: Sequence[str]) -> list[NewFile]:
    """Write one file without the rows that leave it and with those that come; memory stays flat."""
    writer = FileWriter(url, schema, partitions)
    stay = np.ones(change.file.rows, dtype=bool) if change.file.rows is not None else None
    if stay is not None:
        stay[change.drop] = False
    drop = set() if stay is not None else set(change.drop.tolist())
    try:
        at = 0
        for batch in file_dataset(url, change.file, schema).to_batches(batch_size=_BATCH_ROWS):
            numbers = range(at, at + batch.num_rows)
            mask = stay[at : at + batch.num_rows] if stay is not None else [n not in drop for n in numbers]
            at += batch.num_rows
            writer.write(pa.Table.from_batches([batch]).filter(pa.array(mask)))
        if change.add is not None:
            writer.write(change.add)
        return writer.close()
    except BaseException:
        writer.discard()
        raise
