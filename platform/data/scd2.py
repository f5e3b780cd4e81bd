"""Slowly changing dimension, type 2: a table keeps every state of a row and from when to when it held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from ..core import ConfigError, DataError, Node, Workspace
from ..registry import TableVersion
from .arrow_types import UTC_MICROSECONDS, storable_schema
from .batches import batch_of, mask_of
from .commits import SchemaMode
from .delta_log import stored_schema
from .keyed import BATCH_ROW, FILE, FILE_ROW, arrow_of, check_key, fit_batch, frame_of, match
from .live_files import LiveFile, read_file
from .read import Filter
from .rewrite import Change, Plan, Rewriting, rewrite
from .write import to_version, unpinned

if TYPE_CHECKING:
    import ray.data

FROM, TO, CURRENT = "valid_from", "valid_to", "is_current"
_ENDS, _RANK = "__ends", "__rank"


def scd2(
    ws: Workspace,
    name: str,
    data: pa.Table | ray.data.Dataset,
    *,
    key: Sequence[str],
    effective: str | None = None,
    delete_when: Filter = None,
    omit: Sequence[str] = (),
    app: tuple[str, int] | None = None,
    inputs: Iterable[Node] = (),
    schema_mode: SchemaMode = "enforce",
    record: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> TableVersion:
    """Record states of rows as a slowly changing dimension of type 2, in ONE commit.

    The table has the batch's columns and `valid_from`, `valid_to` (null: still holds) and `is_current`. Of each key it
    keeps a time line: a state that differs from the one before begins a new row and ends the former. Within a batch
    states may stand in any order, and batches may come again: the time line is the same. A state that comes in a later
    batch than its successors is put into the recorded time line: reports that repeated the state before them left no
    trace there, so it holds until the next recorded change. Only files that hold a changed row are written.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``; created when there is no such table.
        data: The states, with every column of the table but those three. Held in this process's memory.
        key: Columns that identify a thing; no nulls, no floats.
        effective: Column of the batch (timestamp or date) that says from when the state holds; it becomes
            `valid_from`. Without it the states hold from now on.
        delete_when: Which rows of the batch say that the thing ceased to exist.
        omit: Columns of the batch that are not for the table.
        app: Application transaction (id, version), as for `write`.
        inputs: Lineage nodes the rows come from.
        schema_mode: ``evolve`` accepts new columns.
        record: Whether to record the version in the registry.
        metadata: Text kept beside the commit.

    Returns:
        The version; its metrics hold rows_inserted (rows that began), rows_ended and files_rewritten.

    Raises:
        DataError: A key or an effective time is null, or a key has two states at one time in the batch.
        SchemaMismatch: Columns or types do not fit the table.
        Conflict: Others write the table all the time; nothing was changed.

    Example:
        >>> import tempfile
        >>> from datetime import date
        >>> from raylake.data import table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for day, city in ((1, "Bern"), (9, "Basel"), (5, "Bern")):
        ...     state = pa.table({"id": [7], "city": [city], "since": [date(2024, 1, day)]})
        ...     version = scd2(ws, "people", state, key=["id"], effective="since")
        >>> for row in table(ws, "people").sort_by("valid_from").to_pylist():
        ...     print(row["city"], row["valid_from"].day, row["valid_to"] and row["valid_to"].day, row["is_current"])
        Bern 1 9 False
        Basel 9 None True
    """
    ref = unpinned(name)
    url = ws.table_url(ref)
    full = batch_of(ws, data)
    check_key(key, full.schema, url)
    gone = mask_of(full, delete_when)
    states = states_of(full, key, effective, omit, url)
    creates = storable_schema(states.schema, known=stored_schema(url))

    def make_plan(table: DeltaTable) -> Plan:
        return plan_scd2(table, url, states, gone, key, evolve=schema_mode == "evolve")

    facts = {"metadata": dict(metadata or {}), "key": list(key)}
    done = rewrite(ws, Rewriting(ref, "scd2", app, schema_mode, facts, creates), make_plan)
    return to_version(ws, ref, done, inputs=inputs, record=record, metrics=done.facts["metrics"])


def states_of(full: pa.Table, key: Sequence[str], effective: str | None, omit: Sequence[str], url: str) -> pa.Table:
    """The batch as rows of the table that all hold from their time on.

    Raises:
        ConfigError: A column has the name of one of the table's own, or `effective` is unknown.
        DataError: A key or a time is null, or a thing has two states at one time.
    """
    taken = {FROM, TO, CURRENT} & set(full.column_names) - {effective}
    if taken or (effective is not None and effective not in full.column_names):
        raise ConfigError(
            f"the batch for table {url} has columns {full.column_names}: {FROM}, {TO} and {CURRENT} are "
            f"the table's own, and effective={effective!r} must be one of the batch's"
        )
    now = pa.array([datetime.now(UTC)] * full.num_rows, UTC_MICROSECONDS)
    since = now if effective is None else full.column(effective).cast(UTC_MICROSECONDS, safe=False)
    body = full.drop_columns([name for name in {effective, *omit} if name in full.column_names])
    count = full.num_rows
    states = body.append_column(FROM, since).append_column(TO, pa.nulls(count, UTC_MICROSECONDS))
    states = states.append_column(CURRENT, pa.array([True] * count, pa.bool_()))
    frame = frame_of(states, [*key, FROM])
    if frame.null_count().pipe(lambda counts: sum(counts.row(0))):
        raise DataError(
            f"the batch for table {url} has rows without a key or an effective time: fill {[*key, effective]}"
        )
    if frame.is_duplicated().any():
        twice = frame.filter(frame.is_duplicated()).row(0, named=True)
        raise DataError(f"the batch for table {url} has two states of one thing at one time: {twice}. Keep one of them")
    return states


def plan_scd2(
    table: DeltaTable,
    url: str,
    states: pa.Table,
    gone: np.ndarray[tuple[int], np.dtype[np.bool_]],
    key: Sequence[str],
    *,
    evolve: bool,
) -> Plan:
    """What the states change in one version of the table; `gone` says which of them are ends."""
    rows, schema = fit_batch(states, table, url, evolve=evolve)
    keys = frame_of(rows, key).unique()
    found = match(table, url, rows.select(list(key)).take(_first_of_each(rows, key)), key)
    old = [_old_rows(url, schema, found.files[index], part, index) for (index,), part in found.rows.group_by([FILE])]
    new = frame_of(rows, schema.names).with_columns(pl.Series(_ENDS, gone))
    before = (
        pl.concat(old)
        if old
        else new.clear()
        .with_columns(pl.lit(0, pl.UInt32).alias(FILE), pl.lit(0, pl.UInt32).alias(FILE_ROW))
        .drop(_ENDS)
    )
    after = time_line(before.drop(FILE, FILE_ROW), new, key, schema.names)
    same = _same(before, after, key, schema.names)
    left = before.join(same, on=[FILE, FILE_ROW], how="anti")
    begun = after.join(same, on=[*key, FROM], how="anti")
    changes = []
    for (index,), part in left.group_by([FILE], maintain_order=True):
        # A row that only ends goes back into its own file, so that files stay as they are sorted.
        mine = begun.join(part, on=[*key, FROM], how="semi")
        drop = part[FILE_ROW].sort().to_numpy().astype(np.int64)
        changes.append(Change(found.files[int(index)], drop, arrow_of(mine, schema) if mine.height else None))
    fresh = begun.join(left, on=[*key, FROM], how="anti")
    ended = begun.height - fresh.height
    metrics = {"rows_inserted": fresh.height, "rows_ended": ended, "files_rewritten": len(changes), "keys": keys.height}
    return Plan(schema, changes, arrow_of(fresh, schema), metrics=metrics)


def time_line(old: pl.DataFrame, new: pl.DataFrame, key: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """The rows of some keys after new states came in.

    Args:
        old: Their rows before.
        new: The states, with the column ``__ends`` (bool): the thing ceases to exist.
        key: The key columns.
        columns: Every column of the table.
    """
    values = [name for name in columns if name not in (*key, FROM, TO, CURRENT)]
    known = old.with_columns(pl.lit(False).alias(_ENDS), pl.lit(0).alias(_RANK))
    starts = old.select(*key, pl.col(FROM).alias(TO))
    gaps = old.filter(pl.col(TO).is_not_null()).join(starts, on=[*key, TO], how="anti")
    ends = gaps.with_columns(pl.col(TO).alias(FROM), pl.lit(True).alias(_ENDS), pl.lit(0).alias(_RANK))
    events = pl.concat([known, ends, new.with_columns(pl.lit(1).alias(_RANK)).select(known.columns)])
    events = events.sort(*key, FROM, _RANK, maintain_order=True).unique([*key, FROM], keep="last", maintain_order=True)
    first = pl.struct(key) != pl.struct(key).shift(1)
    still = [pl.col(_ENDS).eq_missing(pl.col(_ENDS).shift(1))]
    alike = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in values]
    # Two ends in a row are one, whatever else they say.
    repeated = still[0] & (pl.all_horizontal(alike) | pl.col(_ENDS)) if values else still[0]
    events = events.filter(first.fill_null(True) | ~repeated)
    events = events.with_columns(pl.col(FROM).shift(-1).over(key).alias(TO)).filter(~pl.col(_ENDS))
    return events.with_columns(pl.col(TO).is_null().alias(CURRENT)).select(columns)


def _first_of_each(rows: pa.Table, key: Sequence[str]) -> pa.Array:
    frame = frame_of(rows, key).with_row_index(BATCH_ROW)
    return frame.unique(key, keep="first")[BATCH_ROW].to_arrow()


def _old_rows(url: str, schema: pa.Schema, file: LiveFile, part: pl.DataFrame, index: int) -> pl.DataFrame:
    where = part[FILE_ROW].sort()
    rows = read_file(url, file, schema, schema.names).take(where.to_arrow())
    return frame_of(rows, schema.names).with_columns(pl.lit(index, pl.UInt32).alias(FILE), where.alias(FILE_ROW))


def _same(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """Rows that stay exactly as they were."""
    both = before.join(after, on=[*key, FROM], how="inner", suffix="__new")
    others = [name for name in columns if name not in (*key, FROM)]
    return both.filter(pl.all_horizontal([pl.col(name).eq_missing(pl.col(f"{name}__new")) for name in others]))
