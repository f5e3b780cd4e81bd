"""Rows that a filter means: deleted, or replaced by others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from ..core import DataError, Node, Ref, Workspace
from ..registry import TableVersion
from .arrow_types import reconcile
from .batches import meant
from .commits import Committed, SchemaMode
from .delta_log import arrow_schema, open_delta
from .file_writer import NewFile, remove_files
from .in_flight import in_flight
from .keyed import FILE, FILE_ROW, match
from .live_files import LiveFile, file_dataset, live_files, read_file
from .read import Filter, paths_that_may_match
from .rewrite import Change, Plan, Rewriting, rewrite
from .staging import stage
from .write import discard_uncommitted, to_version, unpinned

if TYPE_CHECKING:
    import ray.data


def delete(
    ws: Workspace,
    name: str,
    where: Filter,
    *,
    app: tuple[str, int] | None = None,
    record: bool = True,
    operation: str = "delete",
) -> TableVersion:
    """Delete the rows that a filter means, in ONE commit. Older versions still hold them until `purge`.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        where: Rows such as ``[("origin", "==", "EWR")]``, or a pyarrow expression; where it is null the row stays.
        app: Application transaction (id, version), as for `write`.
        record: Whether to record the version in the registry.
        operation: Recorded name of what was done.

    Returns:
        The version; its metrics hold rows_deleted and files_rewritten. When no row is meant (and without `app`) the
        newest version as it is.

    Raises:
        NotFound: There is no such table.
        SchemaMismatch: The filter names a column that does not exist.
        Conflict: Others write the table all the time; nothing was changed.

    Example:
        >>> import tempfile
        >>> from raylake.data import table, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1, 2, 3]}))
        >>> version = delete(ws, "numbers", [("n", ">", 1)])
        >>> str(version), version.metrics["rows_deleted"], table(ws, "numbers")["n"].to_pylist()
        ('numbers@2', 2, [1])
    """
    ref = unpinned(name)
    url = ws.table_url(ref)

    def make_plan(table: DeltaTable) -> Plan:
        changes = matching_rows(table, url, where)
        return Plan(arrow_schema(table), changes, metrics=_metrics(changes))

    done = rewrite(ws, Rewriting(ref, operation, app), make_plan)
    return to_version(ws, ref, done, record=record, metrics=done.facts["metrics"])


def delete_keys(ws: Workspace, ref: Ref, keys: pa.Table, *, operation: str) -> Committed:
    """Delete the rows whose key columns equal one of `keys`; the columns of `keys` are the key."""
    url = ws.table_url(ref)

    def make_plan(table: DeltaTable) -> Plan:
        schema = arrow_schema(table)
        typed = keys.cast(pa.schema([schema.field(name) for name in keys.column_names]))
        found = match(table, url, typed, keys.column_names)
        changes = []
        for (index,), part in found.rows.unique([FILE, FILE_ROW]).group_by([FILE]):
            drop = part[FILE_ROW].sort().to_numpy().astype(np.int64)
            changes.append(Change(found.files[int(index)], drop))
        return Plan(schema, changes, metrics=_metrics(changes))

    return rewrite(ws, Rewriting(ref, operation), make_plan)


def replace(
    ws: Workspace,
    name: str,
    data: pa.Table | ray.data.Dataset,
    where: Filter,
    *,
    app: tuple[str, int] | None = None,
    partition_by: Sequence[str] = (),
    inputs: Iterable[Node] = (),
    schema_mode: SchemaMode = "enforce",
    record: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> TableVersion:
    """Put rows in the place of those that a filter means, such as one day or one partition, in ONE commit.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``; created when there is no such table.
        data: The new rows; each must be one that `where` means. A Dataset is written by Ray tasks.
        where: As for `delete`, such as ``[("day", "==", date(2013, 1, 1))]``.
        app: Application transaction (id, version), as for `write`.
        partition_by: Partition columns of a new table.
        inputs: Lineage nodes the rows come from.
        schema_mode: ``evolve`` accepts new columns.
        record: Whether to record the version in the registry.
        metadata: Text kept beside the commit.

    Raises:
        DataError: A new row is not one that `where` means: a repeated call would not replace it.
        SchemaMismatch: Columns or types do not fit the table.
        Conflict: Others write the table all the time; nothing was changed.
        StorageError: The disk is full, read-only or unreachable; nothing is visible.

    Example:
        >>> import tempfile
        >>> from raylake.data import table, write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "sales", pa.table({"day": [1, 1, 2], "n": [1, 2, 3]}))
        >>> _ = replace(ws, "sales", pa.table({"day": [1], "n": [9]}), [("day", "==", 1)])
        >>> sorted(table(ws, "sales")["n"].to_pylist())
        [3, 9]
    """
    ref = unpinned(name)
    url = ws.table_url(ref)
    opened = open_delta(url)
    stored = None if opened is None else arrow_schema(opened)
    partitions = tuple(partition_by) if opened is None else tuple(opened.metadata().partition_columns)
    with in_flight(url):
        files, found = stage(ws, url, data, stored, partitions)
        try:
            _check_meant(url, files, found, where)

            def make_plan(table: DeltaTable) -> Plan:
                schema = reconcile(found, arrow_schema(table), url, evolve=schema_mode == "evolve")
                changes = matching_rows(table, url, where)
                rows = {"rows_inserted": sum(file.rows for file in files)}
                return Plan(schema, changes, staged=files, staged_schema=found, metrics={**_metrics(changes), **rows})

            facts = {"metadata": dict(metadata or {})}
            job = Rewriting(ref, "replace", app, schema_mode, facts, found, partitions)
            done = rewrite(ws, job, make_plan)
        except BaseException:
            discard_uncommitted(url, files)
            raise
        if done.repeated:
            remove_files(url, [file.path for file in files])
    return to_version(ws, ref, done, inputs=inputs, record=record, metrics=done.facts["metrics"])


def matching_rows(table: DeltaTable, url: str, where: Filter) -> list[Change]:
    """The rows that a filter means, file by file; files that statistics exclude are not opened."""
    schema = arrow_schema(table)
    sure = meant(where, schema)
    known = {file.name: file for file in live_files(table)}
    candidates = [known[path] for path in paths_that_may_match(table, url, sure)]

    def find(file: LiveFile) -> Change:
        hit = read_file(url, file, schema, {"hit": sure}).column("hit").to_numpy()
        return Change(file, np.flatnonzero(hit))

    with ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="match") as pool:
        return [change for change in pool.map(find, candidates) if len(change.drop)]


def _check_meant(url: str, files: Sequence[NewFile], schema: pa.Schema, where: Filter) -> None:
    other = pc.invert(meant(where, schema))
    for file in files:
        written = LiveFile(file.path, file.size, file.rows, file.partition)
        rows = file_dataset(url, written, schema).head(1, filter=other)
        if rows.num_rows:
            raise DataError(
                f"the new rows for table {url} hold one that the filter {where} does not mean: {rows.to_pylist()[0]}. "
                "Nothing was replaced; correct the rows or the filter"
            )


def _metrics(changes: Sequence[Change]) -> dict[str, int]:
    rewritten = sum(len(change.drop) != change.file.rows for change in changes)
    return {"rows_deleted": sum(len(change.drop) for change in changes), "files_rewritten": rewritten}
