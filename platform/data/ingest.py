"""Ingest: what is new in a source becomes one version of its table, exactly once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from .. import registry
from ..core import Conflict, ExpectationFailed, Node, StorageError, Workspace, table_node
from ..registry import TableVersion
from .arrow_types import storable_schema
from .commits import Commit, Committed, commit_files
from .connector import Cursor, Split, same_cursor
from .delta_log import arrow_schema, count_rows, entries, open_delta
from .discovery import discover_schema
from .file_writer import NewFile, remove_files
from .in_flight import in_flight
from .keyed_ingest import commit_keyed
from .quarantine import QUARANTINE_SCHEMA
from .screening import Job, Screened, sample, screen
from .source import Source
from .uniqueness import Pending, remove_rows, repeats
from .write import commit_or_discard, to_version

# Below this, starting tasks costs more than it gains: the calling process does the work.
_INLINE_BYTES = 16 * 1024 * 1024
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class _Last:
    """Where the last ingest of a source ended; `done` is ``None`` before the first."""

    done: Committed | None = None
    cursor: Cursor | None = None
    schema: pa.Schema | None = None
    sequence: int = 0
    stored: pa.Schema | None = None
    base: int | None = None
    partitions: tuple[str, ...] = ()


@dataclass(slots=True)
class _Batch:
    """Everything one ingest has written so far, uncommitted."""

    job: Job
    pending: Pending
    rejects: list[NewFile]
    read: int
    checked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def discard(self) -> None:
        remove_files(self.job.url, [file.path for file in self.pending.files])
        remove_files(self.job.quarantine_url, [file.path for file in self.rejects])


def ingest(ws: Workspace, source: Source, *, quarantine: bool = True) -> TableVersion:
    """Read what is new in a source, and write it as ONE version of its table, exactly once.

    The version, the cursor and the list of rejected rows are one atomic commit: killed at any moment and run again,
    every row is in the table once, and every rejected row in ``quarantine.<source>`` once. With nothing new it
    returns the version of the last ingest and writes nothing. Inputs above 16 MiB are read by Ray tasks.

    Args:
        ws: The workspace.
        source: What to read, and the rules for it.
        quarantine: Whether rows that cannot be accepted (cells that do not parse, ragged lines, broken expectations)
            go to ``quarantine.<source>`` (columns reason, row as JSON, source_file, ingested_at). Otherwise the first
            such row fails the ingest.

    Returns:
        The table's version. Its `metrics` hold rows_read, rows_written, rows_quarantined, files, seconds, unparsable
        and, per expectation, ``{"checked": rows, "failed": rows}``.

    Raises:
        SourceError: A file is missing, empty, truncated, wrongly encoded, or changed after it was read.
        SchemaMismatch: Columns are missing or unknown; the message names them.
        ExpectationFailed: An expectation with ``on_fail="fail"`` broke, or any did and `quarantine` is false.
        Conflict: Others wrote the table at the same moment, and an overwrite would have lost their rows.
        StorageError: The disk is full, read-only or unreachable; nothing is visible.

    Example:
        >>> import tempfile, pathlib
        >>> from raylake.data import Csv, table
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.csv").write_text("id,miles\\n1,10\\n2,x\\n")
        >>> ws = Workspace.open(folder / "lake")
        >>> source = Source("trips", Csv(str(folder / "*.csv")), schema={"id": "int64", "miles": "int64"})
        >>> version = ingest(ws, source)
        >>> str(version), version.rows, table(ws, "quarantine.trips")["reason"].to_pylist()
        ('trips@1', 1, ["miles: 'x' is not a valid int64"])
        >>> ingest(ws, source) == version
        True
    """
    for _ in range(_ROUNDS):
        last = _last_ingest(ws, source)
        _settle(ws, source, last.done)
        splits, after = _plan(source, last)
        if last.done is not None and same_cursor(after, last.cursor):
            return _version(ws, source, last.done, [])
        with in_flight(ws.table_url(source.ref)), in_flight(ws.table_url(source.quarantine)):
            done, batch = _run(ws, source, last, splits, after, quarantine)
        if done.repeated:
            # Another process ingested this source meanwhile; look again for what it did not see.
            batch.discard()
            continue
        _settle(ws, source, done)
        version = _version(ws, source, done, splits)
        _alert(ws, source, batch, version)
        return version
    raise Conflict(f"source {source.name!r} is ingested by too many others at once: nothing was lost, run it again")


def ingest_all(ws: Workspace, sources: Sequence[Source], *, quarantine: bool = True) -> list[TableVersion]:
    """Ingest several sources side by side; each is its own commit.

    Args:
        ws: The workspace.
        sources: The sources, each with a name of its own.
        quarantine: As for `ingest`.

    Returns:
        The versions, in the order of `sources`.

    Raises:
        RaylakeError: What the first failing source raised; the others are finished all the same.

    Example:
        >>> import tempfile
        >>> ingest_all(Workspace.open(tempfile.mkdtemp()), [])
        []
    """
    with ThreadPoolExecutor(max_workers=max(1, min(len(sources), 8)), thread_name_prefix="ingest") as pool:
        running = [pool.submit(ingest, ws, source, quarantine=quarantine) for source in sources]
    return [job.result() for job in running]


def _last_ingest(ws: Workspace, source: Source) -> _Last:
    url = ws.table_url(source.ref)
    opened = open_delta(url)
    if opened is None:
        return _Last()
    sequence = opened.transaction_version(source.app_id)
    here = _Last(
        stored=arrow_schema(opened),
        base=opened.version(),
        partitions=tuple(opened.metadata().partition_columns),
    )
    if sequence is None:
        return here
    for entry in entries(opened, url):
        if entry.facts.get("app") == [source.app_id, sequence]:
            at = opened if entry.version == opened.version() else open_delta(url, entry.version)
            assert at is not None
            done = Committed(entry.version, count_rows(at), arrow_schema(at), entry.facts, repeated=True)
            raw = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(entry.facts["raw_schema"])))
            return _Last(done, entry.facts["cursor"], raw, sequence, here.stored, here.base, here.partitions)
    raise Conflict(
        f"table {source.ref} was fed by source {source.name!r} but its log no longer says how far: "
        "ingest into a new table, or give the source a new name if its rows may come again"
    )


def _plan(source: Source, last: _Last) -> tuple[list[Split], Cursor]:
    return source.connector.plan(None if source.mode == "overwrite" else last.cursor)


def _run(
    ws: Workspace, source: Source, last: _Last, splits: list[Split], after: Cursor, quarantine: bool
) -> tuple[Committed, _Batch]:
    started = time.perf_counter()
    schema = _raw_schema(source, last, splits)
    job = Job(
        source=source,
        schema=schema,
        stored=last.stored,
        url=ws.table_url(source.ref),
        quarantine_url=ws.table_url(source.quarantine),
        partitions=last.partitions or tuple(source.partition_by),
        quarantine=quarantine,
    )
    batch = _gather(job, _screen(ws, job, splits))
    try:
        _check_whole(ws, last, batch)
        _check_failed(batch)
        facts = {
            "operation": "ingest",
            "source": source.name,
            "cursor": after,
            "raw_schema": schema.serialize().to_pybytes().hex(),
            "metrics": _metrics(batch, time.perf_counter() - started),
            "rejects": [file.without_bounds().to_dict() for file in batch.rejects],
        }
        done = _commit(ws, source, last, batch, facts)
    except BaseException as error:
        if not _was_committed(job.url, source, last.sequence + 1):
            batch.discard()
        raise error
    return done, batch


def _commit(ws: Workspace, source: Source, last: _Last, batch: _Batch, facts: Mapping[str, Any]) -> Committed:
    app = (source.app_id, last.sequence + 1)
    pending = batch.pending
    if source.keyed:
        return commit_keyed(ws, source, pending, app, facts)
    commit = Commit(
        url=pending.url,
        schema=pending.schema,
        mode="overwrite" if source.mode == "overwrite" else "append",
        schema_mode=source.schema_mode,
        partition_by=pending.partitions,
        app=app,
        base=last.base,
        facts=facts,
    )
    return commit_or_discard(commit, pending.files)


def _was_committed(url: str, source: Source, sequence: int) -> bool:
    try:
        opened = open_delta(url)
    except StorageError:
        # Nobody can tell now: the files stay, and vacuum collects them if they are orphans.
        return True
    done = None if opened is None else opened.transaction_version(source.app_id)
    return done is not None and done >= sequence


def _raw_schema(source: Source, last: _Last, splits: Sequence[Split]) -> pa.Schema:
    base = source.declared or last.schema
    if base is not None and source.schema_mode == "enforce":
        return base
    found: pa.Schema | None = None
    tables = list(sample(source, splits))
    names = list(dict.fromkeys(name for part in tables for name in part.column_names))
    if base is None and any(set(part.column_names) != set(names) for part in tables):
        names = tables[0].column_names
    columns = {
        name: pa.chunked_array(
            [chunk for part in tables if name in part.column_names for chunk in part.column(name).chunks],
            tables[0].schema.field(name).type if name in tables[0].column_names else None,
        )
        for name in names
    }
    found = discover_schema(pa.table(columns), tuple(source.null_values))
    if base is None:
        return found
    return pa.schema([*base, *(entry for entry in found if entry.name not in base.names)])


def _screen(ws: Workspace, job: Job, splits: Sequence[Split]) -> list[Screened]:
    total = sum(split.size for split in splits)
    if total <= _INLINE_BYTES and all(split.size for split in splits):
        return [screen(job, splits)]
    from .ray_screening import screen_on_ray

    return screen_on_ray(ws, job, splits)


def _gather(job: Job, parts: Sequence[Screened]) -> _Batch:
    known = [part.schema for part in parts if part.schema is not None]
    schema = known[0] if known else storable_schema(job.schema)
    files = tuple(file for part in parts for file in part.files)
    rejects = [file for part in parts for file in part.rejects]
    batch = _Batch(job, Pending(job.url, schema, job.partitions, files), rejects, sum(part.read for part in parts))
    for part in parts:
        for total, counts in ((batch.checked, part.checked), (batch.failed, part.failed)):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
    return batch


def _check_whole(ws: Workspace, last: _Last, batch: _Batch) -> None:
    """Check the expectations about all rows together; `unique` may take rows out of the files."""
    source = batch.job.source
    earlier = source.ref.at(last.base) if last.base and source.mode == "append" else None
    for rule in source.rules:
        rows = sum(file.rows for file in batch.pending.files)
        if rule.rule == "at_least_rows":
            batch.checked[rule.name] = rows
            batch.failed[rule.name] = max(0, rule.arguments[0] - rows)
        elif rule.rule == "unique":
            found = repeats(ws, earlier, rule, batch.pending)
            batch.checked[rule.name] = rows
            batch.failed[rule.name] = sum(map(len, found.values()))
            if not found or rule.on_fail in ("warn", "fail"):
                continue
            if not batch.job.quarantine and rule.on_fail == "quarantine":
                raise ExpectationFailed(
                    f"source {source.name!r} has {batch.failed[rule.name]} rows that break {rule.name}: nothing was "
                    "written; correct them, or ingest with quarantine=True"
                )
            batch.pending, more = remove_rows(batch.pending, found, rule, batch.job.quarantine_url, source.name)
            batch.rejects += more


def _check_failed(batch: _Batch) -> None:
    for rule in batch.job.source.rules:
        count = batch.failed.get(rule.name, 0)
        if rule.on_fail == "fail" and count:
            what = f"{count} rows too few" if rule.rule == "at_least_rows" else f"{count} rows"
            raise ExpectationFailed(
                f"source {batch.job.source.name!r} breaks {rule.name} ({what} of {batch.checked[rule.name]}): "
                "nothing was written; correct the data, or declare another on_fail"
            )


def _metrics(batch: _Batch, seconds: float) -> dict[str, Any]:
    rules = batch.job.source.rules
    return {
        "rows_read": batch.read,
        "rows_written": sum(file.rows for file in batch.pending.files),
        "rows_quarantined": sum(file.rows for file in batch.rejects),
        "unparsable": batch.failed.get("unparsable", 0),
        "files": len(batch.pending.files),
        "seconds": round(seconds, 3),
        "expectations": {
            rule.name: {"checked": batch.checked.get(rule.name, 0), "failed": batch.failed.get(rule.name, 0)}
            for rule in rules
        },
    }


def _settle(ws: Workspace, source: Source, done: Committed | None) -> None:
    """Commit the rejected rows that the last ingest's commit lists; a no-op when that was done."""
    if done is None or not done.facts.get("rejects"):
        return
    rejects = [NewFile(**facts) for facts in done.facts["rejects"]]
    facts: Mapping[str, Any] = {"operation": "quarantine", "source": source.name}
    settled = commit_files(
        Commit(
            url=ws.table_url(source.quarantine),
            schema=QUARANTINE_SCHEMA,
            app=(source.app_id, int(done.facts["app"][1])),
            facts=facts,
        ),
        rejects,
    )
    to_version(ws, source.quarantine, settled, inputs=[table_node(source.ref, done.version)], source=source.name)


def _version(ws: Workspace, source: Source, done: Committed, splits: Sequence[Split]) -> TableVersion:
    files = [Node("file", split.name.replace("@", "%40")) for split in splits]
    return to_version(ws, source.ref, done, inputs=files, source=source.name, metrics=done.facts["metrics"])


def _alert(ws: Workspace, source: Source, batch: _Batch, version: TableVersion) -> None:
    for rule in source.rules:
        count = batch.failed.get(rule.name, 0)
        if rule.on_fail == "warn" and count:
            registry.record_alert(
                ws,
                severity="warning",
                subject=version.node,
                message=f"{count} rows of source {source.name!r} break {rule.name}",
                evidence={"checked": batch.checked[rule.name], "failed": count},
            )
