"""Batches with keys: checked, and matched to the rows of a table that have the same key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable

from ..core import ConfigError, DataError, SchemaMismatch
from .arrow_types import describe, fit_to_schema, reconcile, storable_schema
from .delta_log import arrow_schema
from .live_files import LiveFile, may_hold, read_file

BATCH_ROW, FILE, FILE_ROW = "__batch_row", "__file", "__file_row"


@dataclass(frozen=True, slots=True)
class Matches:
    """Where the keys of a batch are in a table.

    Attributes:
        files: Files that hold at least one of the keys.
        rows: One row per match: the index of the file, the number of the row in it, the row of the batch, and the
            further columns that were asked for.
    """

    files: list[LiveFile]
    rows: pl.DataFrame


def fit_batch(batch: pa.Table, table: DeltaTable, url: str, *, evolve: bool) -> tuple[pa.Table, pa.Schema]:
    """The batch with the table's columns and types, and the columns that the table has afterwards.

    Raises:
        SchemaMismatch: Columns are missing, unknown without `evolve`, or have other types.
    """
    stored = arrow_schema(table)
    missing = [name for name in stored.names if name not in batch.column_names]
    if missing:
        raise SchemaMismatch(
            f"the batch for table {url} lacks columns {missing}: a row is replaced as a whole. "
            f"Give it every column of {describe(stored)}"
        )
    schema = reconcile(storable_schema(batch.schema, known=stored), stored, url, evolve=evolve)
    return fit_to_schema(batch, schema), schema


def check_key(key: Sequence[str], schema: pa.Schema, url: str) -> None:
    """Raise unless `key` names columns of `schema` whose values can be compared exactly."""
    if not key or isinstance(key, str):
        raise ConfigError(f"key={key!r} is not valid: name the columns that identify a row, such as key=['flight_id']")
    unknown = [name for name in key if name not in schema.names]
    if unknown:
        raise SchemaMismatch(f"key columns {unknown} are not in table {url}; it has {schema.names}")
    for name in key:
        dtype = schema.field(name).type
        if pa.types.is_floating(dtype) or pa.types.is_nested(dtype):
            raise SchemaMismatch(f"key column {name!r} is {dtype}, which cannot be compared exactly: use another")


def newest_of_each(batch: pa.Table, key: Sequence[str], newest: str | None, url: str) -> pa.Table:
    """The batch with one row per key: the one with the greatest `newest`.

    Raises:
        DataError: A key is null, or is there twice while `newest` is not given.
    """
    frame = frame_of(batch, list(dict.fromkeys([*key, *([newest] if newest else [])]))).with_row_index(BATCH_ROW)
    empty = frame.filter(pl.any_horizontal(pl.col(key).is_null()))
    if empty.height:
        raise DataError(
            f"{empty.height} rows of the batch for table {url} have no key (row {empty[BATCH_ROW][0]} is the first): "
            f"give every row a value in {list(key)}"
        )
    if newest is not None:
        frame = frame.sort(newest, nulls_last=False, maintain_order=True).unique(key, keep="last").sort(BATCH_ROW)
        return batch if frame.height == batch.num_rows else batch.take(frame[BATCH_ROW].to_arrow())
    twice = frame.filter(pl.struct(key).is_duplicated())
    if twice.height:
        raise DataError(
            f"the batch for table {url} has the key {twice.select(key).row(0, named=True)} more than once: "
            "keep one row per key, or name the column that tells the newest with newest='...'"
        )
    return batch


def match(table: DeltaTable, url: str, batch: pa.Table, key: Sequence[str], further: Sequence[str] = ()) -> Matches:
    """Find the batch's keys in the table: by statistics first, then by reading the key columns of what is left."""
    keys = frame_of(batch, key).with_row_index(BATCH_ROW)
    schema = arrow_schema(table)
    candidates = may_hold(table, keys.select(key))
    columns = list(dict.fromkeys([*key, *further]))

    def find(file: LiveFile) -> pl.DataFrame:
        rows = frame_of(read_file(url, file, schema, columns), columns).with_row_index(FILE_ROW)
        return rows.join(keys, on=list(key), how="inner").select(FILE_ROW, BATCH_ROW, *further)

    with ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="match") as pool:
        found = [(file, rows) for file, rows in zip(candidates, pool.map(find, candidates), strict=True) if rows.height]
    empty = pl.DataFrame(schema={FILE: pl.UInt32, FILE_ROW: pl.UInt32, BATCH_ROW: pl.UInt32})
    parts = [rows.select(pl.lit(index, pl.UInt32).alias(FILE), pl.all()) for index, (_, rows) in enumerate(found)]
    return Matches([file for file, _ in found], pl.concat(parts) if parts else empty)


def frame_of(table: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of an Arrow table as a polars frame."""
    return pl.DataFrame(pl.from_arrow(table.select(list(columns))))


def arrow_of(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """A polars frame as an Arrow table of `schema`."""
    return frame.select(schema.names).to_arrow().cast(schema)
