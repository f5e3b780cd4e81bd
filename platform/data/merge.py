"""Upsert: rows of a batch replace those with the same key, or are added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from ..core import Node, Workspace
from ..registry import TableVersion
from .arrow_types import storable_schema
from .batches import batch_of, mask_of
from .commits import SchemaMode
from .delta_log import stored_schema
from .keyed import BATCH_ROW, FILE, FILE_ROW, check_key, fit_batch, frame_of, match, newest_of_each
from .read import Filter
from .rewrite import Change, Plan, Rewriting, rewrite
from .write import to_version, unpinned

if TYPE_CHECKING:
    import ray.data


def merge(
    ws: Workspace,
    name: str,
    data: pa.Table | ray.data.Dataset,
    *,
    key: Sequence[str],
    delete_when: Filter = None,
    newest: str | None = None,
    omit: Sequence[str] = (),
    app: tuple[str, int] | None = None,
    partition_by: Sequence[str] = (),
    inputs: Iterable[Node] = (),
    schema_mode: SchemaMode = "enforce",
    record: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> TableVersion:
    """Upsert by key, in ONE commit: afterwards every key of the batch is in the table once, or not at all when deleted.

    Only files that hold one of the keys are written anew: those whose statistics exclude every key are not opened,
    and of the others only the key columns are read first. When another writer is faster, the merge is made again on
    the version that it made.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``; created when there is no such table.
        data: The batch, with every column of the table. It is held in this process's memory.
        key: Columns that identify a row; no nulls, no floats.
        delete_when: Which rows of the batch delete the table's row instead of replacing it: an expression or list form
            as for `table`, such as ``[("op", "==", "D")]``.
        newest: Column that tells which of two rows with one key is newer: of the batch's rows the greatest counts, and
            rows older than the table's are left out. Without it a key may be in the batch once only.
        omit: Columns of the batch that are not for the table, such as ``op``.
        app: Application transaction (id, version), as for `write`.
        partition_by: Partition columns of a new table.
        inputs: Lineage nodes the rows come from.
        schema_mode: ``evolve`` accepts new columns.
        record: Whether to record the version in the registry.
        metadata: Text kept beside the commit.

    Returns:
        The version; its metrics hold rows_updated, rows_inserted, rows_deleted and files_rewritten. Without any
        change (and without `app`) the newest version as it is.

    Raises:
        DataError: A key is null, or twice in the batch.
        SchemaMismatch: Columns or types do not fit the table.
        Conflict: Others write the table all the time; nothing was changed.
        StorageError: The disk is full, read-only or unreachable; nothing is visible.

    Example:
        >>> import tempfile
        >>> from raylake.data import table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = merge(ws, "stock", pa.table({"id": [1, 2], "n": [5, 5]}), key=["id"])
        >>> version = merge(ws, "stock", pa.table({"id": [2, 3], "n": [6, 7]}), key=["id"])
        >>> str(version), sorted(table(ws, "stock").to_pylist(), key=lambda row: row["id"])
        ('stock@2', [{'id': 1, 'n': 5}, {'id': 2, 'n': 6}, {'id': 3, 'n': 7}])
    """
    ref = unpinned(name)
    url = ws.table_url(ref)
    full = batch_of(ws, data)
    check_key(key, full.schema, url)
    full = newest_of_each(full, key, newest, url)
    gone = mask_of(full, delete_when)
    batch = full.drop_columns(list(omit))
    creates = storable_schema(batch.schema, known=stored_schema(url))

    def make_plan(table: DeltaTable) -> Plan:
        return plan_merge(table, url, batch, gone, key, newest, evolve=schema_mode == "evolve")

    facts = {"metadata": dict(metadata or {}), "key": list(key)}
    done = rewrite(ws, Rewriting(ref, "merge", app, schema_mode, facts, creates, tuple(partition_by)), make_plan)
    return to_version(ws, ref, done, inputs=inputs, record=record, metrics=done.facts["metrics"])


def plan_merge(
    table: DeltaTable,
    url: str,
    batch: pa.Table,
    gone: np.ndarray[Any, np.dtype[np.bool_]],
    key: Sequence[str],
    newest: str | None,
    *,
    evolve: bool,
) -> Plan:
    """What a merge changes in one version of the table.

    Args:
        table: The table at its version.
        url: Its folder.
        batch: The rows, one per key.
        gone: For each row, whether it deletes instead of replacing.
        key: The key columns.
        newest: As for `merge`.
        evolve: Whether new columns are accepted.
    """
    rows, schema = fit_batch(batch, table, url, evolve=evolve)
    found = match(table, url, rows, key, [newest] if newest else [])
    hits = found.rows
    stale = np.zeros(rows.num_rows, dtype=bool)
    if newest and hits.height:
        ours = frame_of(rows, [newest]).with_row_index(BATCH_ROW).rename({newest: "__ours"})
        old = hits.join(ours, on=BATCH_ROW).filter(pl.col("__ours").lt(pl.col(newest)).fill_null(False))
        stale[old[BATCH_ROW].to_numpy()] = True
        hits = hits.filter(~pl.col(BATCH_ROW).is_in(old[BATCH_ROW].implode()))
    known = np.zeros(rows.num_rows, dtype=bool)
    known[found.rows[BATCH_ROW].to_numpy()] = True
    # A key that is there more than once becomes one row, in the first of its files.
    placed = hits.unique(BATCH_ROW, keep="first", maintain_order=True)
    changes = []
    for (index,), part in hits.group_by([FILE], maintain_order=True):
        mine = placed.filter(pl.col(FILE) == index)[BATCH_ROW].to_numpy()
        add = rows.take(pa.array(mine[~gone[mine]]))
        drop = part[FILE_ROW].to_numpy().astype(np.int64)
        changes.append(Change(found.files[int(index)], drop, add if add.num_rows else None))
    fresh = ~known & ~gone
    replaced = placed[BATCH_ROW].to_numpy()
    metrics = {
        "rows_updated": int((~gone[replaced]).sum()),
        "rows_inserted": int(fresh.sum()),
        "rows_deleted": hits.height - int((~gone[replaced]).sum()),
        "rows_stale": int(stale.sum()),
        "files_rewritten": len(changes),
    }
    return Plan(schema, changes, rows.filter(pa.array(fresh)), metrics=metrics)
