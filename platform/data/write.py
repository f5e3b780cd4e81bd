"""Writing tables: any Arrow table or Ray Dataset becomes one version, exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from .. import registry
from ..core import InvalidName, Node, RaylakeError, Ref, Workspace
from ..registry import TableVersion
from .arrow_types import describe
from .commits import Commit, Committed, Mode, SchemaMode, commit_files, find_committed
from .delta_log import arrow_schema, open_delta
from .file_writer import NewFile, remove_files
from .in_flight import in_flight
from .staging import Rows, stage


def write(
    ws: Workspace,
    name: str,
    data: Rows,
    *,
    mode: Mode = "append",
    app: tuple[str, int] | None = None,
    partition_by: Sequence[str] = (),
    inputs: Iterable[Node] = (),
    operation: str = "write",
    schema_mode: SchemaMode = "enforce",
    record: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> TableVersion:
    """Write rows to a table as one new version; creates the table when there is none.

    An Arrow table, or a stream of batches, is written by this process, without Ray; a Dataset by Ray tasks, with one
    commit by this process.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        data: The rows. Times become UTC microseconds (those without a zone count as UTC).
        mode: ``append``, or ``overwrite`` to replace every row.
        app: Application transaction (id, version). Written once: repeated, the call returns the version that was
            committed the first time and writes nothing. Versions of an id only grow.
        partition_by: Columns by whose values files are separated; fixed when the table is created.
        inputs: Lineage nodes the rows come from.
        operation: Recorded name of what was done.
        schema_mode: ``enforce`` refuses other columns or types; ``evolve`` accepts new columns, and lets an overwrite
            replace the schema.
        record: Whether to record the version in the registry. Ray workers pass ``False``.
        metadata: Text kept beside the commit.

    Raises:
        SchemaMismatch: Columns or types do not fit the table; the message names them.
        Conflict: An overwrite's table changed meanwhile; nothing was replaced.
        StorageError: The disk is full, read-only or unreachable; nothing is visible.
        InvalidName: The name breaks the rule, or pins a version.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> first = write(ws, "numbers", pa.table({"n": [1, 2]}), app=("load", 1))
        >>> again = write(ws, "numbers", pa.table({"n": [1, 2]}), app=("load", 1))
        >>> str(first), first.rows, again.version == first.version
        ('numbers@1', 2, True)
    """
    ref = unpinned(name)
    url = ws.table_url(ref)
    done = None if app is None else find_committed(url, app)
    if done is None:
        before = open_delta(url)
        stored = None if before is None else arrow_schema(before)
        partitions = tuple(partition_by)
        if before is not None and not partitions:
            partitions = tuple(before.metadata().partition_columns)
        with in_flight(url):
            files, schema = stage(ws, url, data, stored, partitions)
            commit = Commit(
                url=url,
                schema=schema,
                mode=mode,
                schema_mode=schema_mode,
                partition_by=partitions,
                app=app,
                base=None if before is None else before.version(),
                facts={"operation": operation, "metadata": dict(metadata or {})},
            )
            done = commit_or_discard(commit, files)
    return to_version(ws, ref, done, inputs=inputs, record=record)


def unpinned(name: str) -> Ref:
    """The reference of a table to write to.

    Raises:
        InvalidName: It names a version or an alias.
    """
    ref = Ref.parse(name)
    if ref.version is not None or ref.alias is not None:
        raise InvalidName(f"{name!r} cannot be written to: a write makes a new version; name the table only")
    return ref


def commit_or_discard(commit: Commit, files: Sequence[NewFile]) -> Committed:
    """Commit files; those that were not committed are removed."""
    try:
        done = commit_files(commit, files)
    except BaseException:
        discard_uncommitted(commit.url, files)
        raise
    if done.repeated:
        remove_files(commit.url, [file.path for file in files])
    return done


def discard_uncommitted(url: str, files: Sequence[NewFile]) -> None:
    """After an interrupt the commit may have been made all the same: then its files must stay."""
    try:
        table = open_delta(url)
    except RaylakeError:
        # Nobody can tell now; orphans are vacuum's.
        return
    live = set() if table is None else {uri.rpartition("/")[2] for uri in table.file_uris()}
    remove_files(url, [file.path for file in files if file.path not in live])


def to_version(
    ws: Workspace,
    ref: Ref,
    done: Committed,
    *,
    inputs: Iterable[Node] = (),
    record: bool = True,
    source: str = "",
    metrics: Mapping[str, object] | None = None,
) -> TableVersion:
    """The commit as a TableVersion, recorded with its lineage unless `record` is false."""
    figures = dict(metrics or {"rows_written": done.facts.get("rows"), "files": done.facts.get("files")})
    operation = str(done.facts.get("operation", "write"))
    columns = describe(done.schema)
    if not record:
        moment = datetime.now(UTC)
        return TableVersion(ref.qualified, done.version, done.rows, columns, operation, figures, source, moment)
    version = registry.record_table(
        ws, ref, done.version, rows=done.rows, schema=columns, operation=operation, metrics=figures, source=source
    )
    nodes = list(inputs)
    if nodes:
        registry.add_lineage(ws, nodes, [version.node])
    return version
