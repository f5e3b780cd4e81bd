"""Ingest: what is new in a source becomes one version of its table, exactly once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from .. import registry
from ..core import Conflict, Node, StorageError, Workspace, table_node
from ..registry import TableVersion
from .arrow_types import storable_schema
from .batch import Batch, alert, check_failed, check_whole, metrics
from .commits import Commit, Committed, commit_files
from .connector import Cursor, MarkedConnector, Split, is_sparse, is_typed, same_cursor
from .delta_log import arrow_schema, count_rows, entries, open_delta
from .discovery import discover_schema, joined
from .expectations.bind import bind
from .file_writer import NewFile
from .in_flight import in_flight
from .keyed_ingest import commit_keyed
from .notations import raw_schema
from .quarantine import QUARANTINE_SCHEMA
from .screening import Job, Screened, sample, screen
from .source import Source
from .uniqueness import Pending
from .watermark import newest_event, refuse_late
from .write import commit_or_discard, to_version

# Below this, starting tasks costs more than it gains: the calling process does the work.
_INLINE_BYTES = 16 * 1024 * 1024
_ROUNDS = 20
# Kind of the event that is recorded, once, for every version that an ingest makes.
NEW_VERSION = "table-version"


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
        alert(ws, batch.job.source, batch, version)
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
) -> tuple[Committed, Batch]:
    started = time.perf_counter()
    schema = raw_schema(_raw_schema(source, last, splits), source.formats)
    earlier = None if last.done is None else last.done.facts.get("watermark")
    source = refuse_late(source, earlier)
    bound, referred = bind(ws, source.expectations)
    job = Job(
        source=replace(source, expectations=bound),
        schema=schema,
        stored=last.stored,
        url=ws.table_url(source.ref),
        quarantine_url=ws.table_url(source.quarantine),
        partitions=last.partitions or tuple(source.partition_by),
        quarantine=quarantine,
    )
    parts = _screen(ws, job, splits)
    batch = _gather(job, parts)
    try:
        check_whole(ws, last.base, batch)
        check_failed(batch)
        facts = {
            "operation": "ingest",
            "source": source.name,
            "cursor": _advanced(source, after, parts),
            "watermark": newest_event(batch.pending.files, source.event_time, earlier),
            "raw_schema": schema.serialize().to_pybytes().hex(),
            "metrics": metrics(batch, time.perf_counter() - started),
            "rejects": [file.without_bounds().to_dict() for file in batch.rejects],
            "referred": [str(node) for node in referred],
        }
        done = _commit(ws, source, last, batch, facts)
    except BaseException as error:
        if not _was_committed(job.url, source, last.sequence + 1):
            batch.discard()
        raise error
    return done, batch


def _advanced(source: Source, after: Cursor, parts: Sequence[Screened]) -> Cursor:
    if not isinstance(source.connector, MarkedConnector):
        return after
    return source.connector.advance(after, [mark for part in parts for mark in part.marks])


def _commit(ws: Workspace, source: Source, last: _Last, batch: Batch, facts: Mapping[str, Any]) -> Committed:
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
    tables = list(sample(source, splits))
    names = list(dict.fromkeys(name for part in tables for name in part.column_names))
    ragged = not is_sparse(source.connector)
    if base is None and ragged and any(set(part.column_names) != set(names) for part in tables):
        names = tables[0].column_names
    columns = {name: joined(tables, name) for name in names}
    found = discover_schema(pa.table(columns), tuple(source.null_values), typed=is_typed(source.connector))
    if base is None:
        return found
    return pa.schema([*base, *(entry for entry in found if entry.name not in base.names)])


def _screen(ws: Workspace, job: Job, splits: Sequence[Split]) -> list[Screened]:
    total = sum(split.size for split in splits)
    if total <= _INLINE_BYTES and all(split.size for split in splits):
        return [screen(job, splits)]
    from .ray_screening import screen_on_ray

    return screen_on_ray(ws, job, splits)


def _gather(job: Job, parts: Sequence[Screened]) -> Batch:
    known = [part.schema for part in parts if part.schema is not None]
    schema = known[0] if known else storable_schema(job.schema)
    files = tuple(file for part in parts for file in part.files)
    rejects = [file for part in parts for file in part.rejects]
    batch = Batch(job, Pending(job.url, schema, job.partitions, files), rejects, sum(part.read for part in parts))
    for part in parts:
        for total, counts in ((batch.checked, part.checked), (batch.failed, part.failed)):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
    return batch


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
    referred = [Node.parse(text) for text in done.facts.get("referred", ())]
    inputs = [*files, *referred]
    version = to_version(ws, source.ref, done, inputs=inputs, source=source.name, metrics=done.facts["metrics"])
    # Looked up first: a process may have died between the commit and its event.
    if not registry.events(ws, kind=NEW_VERSION, subject=version.node, limit=1):
        registry.record_event(ws, NEW_VERSION, version.node, {"source": source.name, "rows": version.rows})
    return version


def last_facts(ws: Workspace, source: Source) -> Mapping[str, Any]:
    """What the source's last committed ingest wrote beside its commit (cursor, watermark, metrics); empty before it.

    Example:
        >>> import tempfile
        >>> from raylake.data import Csv
        >>> last_facts(Workspace.open(tempfile.mkdtemp()), Source("trips", Csv("*.csv")))
        {}
    """
    done = _last_ingest(ws, source).done
    return {} if done is None else done.facts
