"""The one place that commits: files become a version of a table, exactly once."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from ..core import Conflict, SchemaMismatch
from .arrow_types import describe, reconcile
from .delta_log import METADATA_KEY, LogEntry, arrow_schema, count_rows, entries, open_delta
from .features import check_writable
from .file_writer import NewFile, partition_text
from .live_files import LiveFile
from .storage_errors import storage_errors

# What `write` may ask for, what a source may; "rewrite" is how merge, delete and the like commit.
Mode = Literal["append", "overwrite"]
SourceMode = Literal["append", "overwrite", "merge", "scd2"]
CommitMode = Literal["append", "overwrite", "rewrite"]
SchemaMode = Literal["enforce", "evolve"]

# deltalake's default of 15 is too few when many processes append to one table.
_COMMIT_RETRIES = 100
_ROUNDS = 20
# The log is the memory of cursors and of application transactions' versions: it must not expire.
_CONFIGURATION = {"delta.enableExpiredLogCleanup": "false", "delta.checkpointInterval": "50"}


@dataclass(frozen=True, slots=True)
class Commit:
    """What is to be committed.

    Attributes:
        url: The table's folder.
        schema: Columns of the data, partition columns included.
        mode: ``append``, ``overwrite`` to replace every row, or ``rewrite`` to put the files in the place of `remove`.
        schema_mode: ``enforce``, or ``evolve`` to accept new columns (and any schema when overwriting).
        partition_by: Partition columns; must equal those of an existing table, or be empty.
        app: Application transaction (id, version): the same or a lower version of an id commits nothing.
        base: Version that an overwrite or a rewrite was computed from; ``None`` when there was no table.
        facts: JSON-able facts kept beside the commit.
        remove: Files of `base` that a rewrite takes out.
        also: Other columns that files may have; they were reconciled with `schema`.
    """

    url: str
    schema: pa.Schema
    mode: CommitMode = "append"
    schema_mode: SchemaMode = "enforce"
    partition_by: tuple[str, ...] = ()
    app: tuple[str, int] | None = None
    base: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    remove: tuple[LiveFile, ...] = ()
    also: pa.Schema | None = None

    @property
    def pinned(self) -> bool:
        """Whether it holds for the version `base` only."""
        return self.mode != "append"


class Stale(Conflict):
    """A rewrite whose table changed since it was computed: compute it again."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What was committed.

    Attributes:
        version: The table's version that holds the data.
        rows: Rows of the table in that version, or ``None``.
        schema: The table's columns.
        facts: Facts kept beside the commit.
        repeated: Whether an earlier commit of the same application transaction was found instead.
    """

    version: int
    rows: int | None
    schema: pa.Schema
    facts: Mapping[str, Any]
    repeated: bool


def find_committed(url: str, app: tuple[str, int]) -> Committed | None:
    """The commit of an application transaction, or ``None`` when it was not made."""
    table = open_delta(url)
    return None if table is None else _repeated(url, table, app)


def commit_files(commit: Commit, files: Sequence[NewFile]) -> Committed:
    """Commit files in ONE Delta commit; a repeated application transaction is found, not committed again.

    The schema is checked against the table and every file against the schema, because Delta's own commit checks
    neither. An append that loses a race is retried; an overwrite or a rewrite is not.

    Raises:
        SchemaMismatch: The data or a file does not fit the table.
        Conflict: An overwrite's table changed since it was computed, or retries ran out.
        Stale: A rewrite's table changed since it was computed.
        StorageError: The disk is full, read-only or unreachable. Nothing is visible then.
    """
    _check_files(commit, files)
    with storage_errors(commit.url):
        for _ in range(_ROUNDS):
            table = open_or_create(commit.url, commit.schema, commit.partition_by)
            if commit.app is not None and (found := _repeated(commit.url, table, commit.app)) is not None:
                return found
            check_writable(table, commit.url, removes=commit.pinned)
            _check_base(commit, table)
            schema = _prepare_schema(commit, table)
            _check_nulls(commit, files, schema)
            mark = uuid.uuid4().hex
            try:
                _commit_once(commit, files, table, schema, mark)
            except CommitFailedError as error:
                if commit.pinned:
                    _refuse(commit, error)
                # Writers that collide once and wait equally long collide again.
                time.sleep(random.uniform(0, 0.05))
                continue
            return find_marked(commit.url, mark)
    raise Conflict(f"table {commit.url} is written by too many others at once: write again later, nothing was lost")


def _commit_once(commit: Commit, files: Sequence[NewFile], table: DeltaTable, schema: pa.Schema, mark: str) -> None:
    facts = {
        **commit.facts,
        "commit": mark,
        "app": list(commit.app) if commit.app else None,
        "mode": commit.mode,
        "rows": sum(file.rows for file in files),
        "files": len(files),
    }
    now = time.time_ns() // 10**6
    removed = [RemoveAction(f.name, True, now, f.size, _texts(f.partition)) for f in commit.remove]
    custom: dict[str, Any] = {METADATA_KEY: json.dumps(facts)}
    if commit.mode == "rewrite":
        custom["isBlindAppend"] = False
    table.create_write_transaction(
        [*removed, *(AddAction(f.path, f.size, f.partition, f.modified, True, f.stats) for f in files)],
        "overwrite" if commit.mode == "overwrite" else "append",
        Schema.from_arrow(schema),
        partition_by=list(table.metadata().partition_columns),
        commit_properties=CommitProperties(
            custom_metadata=custom,
            # An overwrite removes the files of its own snapshot: retried on a newer one, rows would survive it.
            max_commit_retries=0 if commit.pinned else _COMMIT_RETRIES,
            app_transactions=[Transaction(*commit.app)] if commit.app else None,
        ),
    )


def open_or_create(url: str, schema: pa.Schema, partition_by: Sequence[str]) -> DeltaTable:
    """The table at `url`; made, empty, when there is none."""
    table = open_delta(url)
    if table is not None:
        return table
    try:
        DeltaTable.create(
            url,
            Schema.from_arrow(schema),
            mode="error",
            partition_by=list(partition_by),
            configuration=_CONFIGURATION,
            # With retries the loser of the race to create would lay its own columns over the winner's table.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except DeltaError:
        # Another writer created it first: theirs is as good.
        if (theirs := open_delta(url)) is not None:
            return theirs
        raise
    created = open_delta(url)
    if created is None:
        raise Conflict(f"table {url} vanished while it was created: write again")
    return created


def _repeated(url: str, table: DeltaTable, app: tuple[str, int]) -> Committed | None:
    done = table.transaction_version(app[0])
    if done is None or done < app[1]:
        return None
    with storage_errors(url):
        for entry in entries(table, url):
            if entry.facts.get("app") == list(app):
                return _committed(url, table, entry, repeated=True)
    raise Conflict(
        f"transaction {app} of {url} was followed by version {done} and is no longer in the log: "
        "use versions that only grow"
    )


def find_marked(url: str, mark: str) -> Committed:
    """The commit that carries a mark among its facts."""
    if (found := look_up(url, mark)) is not None:
        return found
    raise Conflict(f"the commit {mark} of {url} is not in its log: check whether other programs write there")


def look_up(url: str, mark: str) -> Committed | None:
    """As `find_marked`; ``None`` when there is no such commit."""
    table = open_delta(url)
    if table is not None:
        for entry in entries(table, url):
            if entry.facts.get("commit") == mark:
                return _committed(url, table, entry, repeated=False)
    return None


def _committed(url: str, table: DeltaTable, entry: LogEntry, *, repeated: bool) -> Committed:
    at = table if table.version() == entry.version else open_delta(url, entry.version)
    assert at is not None
    return Committed(entry.version, count_rows(at), arrow_schema(at), entry.facts, repeated)


def _check_base(commit: Commit, table: DeltaTable) -> None:
    expected = 0 if commit.base is None else commit.base
    if commit.pinned and table.version() != expected:
        _refuse(commit, None)


def _refuse(commit: Commit, cause: Exception | None) -> None:
    kind = Stale if commit.mode == "rewrite" else Conflict
    raise kind(
        f"table {commit.url} changed while its replacement was computed (from version {commit.base}): "
        "nothing was replaced; run it again"
    ) from cause


def _prepare_schema(commit: Commit, table: DeltaTable) -> pa.Schema:
    """The schema to commit with; new columns are added first, in a commit of their own that changes no row."""
    partitions = tuple(table.metadata().partition_columns)
    if commit.partition_by and commit.partition_by != partitions:
        raise SchemaMismatch(
            f"table {commit.url} is partitioned by {partitions}, not by {commit.partition_by}: "
            "use its partitions, or write to a new table"
        )
    stored = arrow_schema(table)
    evolve = commit.schema_mode == "evolve"
    if commit.mode == "overwrite" and evolve:
        return commit.schema
    wanted = reconcile(commit.schema, stored, commit.url, evolve=evolve)
    if wanted.names != stored.names:
        added = [wanted.field(name) for name in wanted.names[len(stored.names) :]]
        table.alter.add_columns(Schema.from_arrow(pa.schema(added)).fields)
        table.update_incremental()
    return wanted


def _check_nulls(commit: Commit, files: Sequence[NewFile], schema: pa.Schema) -> None:
    """NOT NULL columns of tables that other programs made: Delta's own commit does not look."""
    strict = [entry.name for entry in schema if not entry.nullable]
    for file in files if strict else ():
        nulls = json.loads(file.stats).get("nullCount", {})
        if broken := [name for name in strict if nulls.get(name, 0) or name not in file.columns]:
            raise SchemaMismatch(
                f"table {commit.url} allows no null in {broken}, but the rows have some: "
                "nothing was committed; fill them"
            )


def _texts(partition: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: partition_text(value) for name, value in partition.items()}


def _check_files(commit: Commit, files: Sequence[NewFile]) -> None:
    expected = [{entry.name: str(entry.type) for entry in schema} for schema in (commit.schema, commit.also or ())]
    for file in files:
        if dict(file.columns) not in expected:
            raise SchemaMismatch(
                f"file {file.path} of table {commit.url} has columns {dict(file.columns)}, "
                f"expected {describe(commit.schema)}: nothing was committed"
            )
