"""The files of one table version: what the log tells of each, and which of them may hold given keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
from deltalake import DeltaTable

from ..core import urls
from .promises import CUT, partition_promise


@dataclass(frozen=True, slots=True)
class LiveFile:
    """A file that a table version consists of.

    Attributes:
        path: Name relative to the table's folder, as the log writes it (escaped as in a URL).
        size: Bytes.
        rows: Number of rows, or ``None`` when the log does not tell.
        partition: Partition column to its value.
    """

    path: str
    size: int
    rows: int | None
    partition: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name relative to the table's folder, as the store shows it."""
        return unquote(self.path)


def live_files(table: DeltaTable) -> list[LiveFile]:
    """Every file of the table's version."""
    actions = pa.table(table.get_add_actions())
    wanted = [name for name in ("path", "size_bytes", "num_records", "partition") if name in actions.column_names]
    return [
        LiveFile(row["path"], row["size_bytes"], row.get("num_records"), row.get("partition") or {})
        for row in actions.select(wanted).to_pylist()
    ]


def read_file(
    url: str, file: LiveFile, schema: pa.Schema, columns: Sequence[str] | Mapping[str, pc.Expression]
) -> pa.Table:
    """Columns of one file, or expressions over it, in the order of its rows."""
    wanted = dict(columns) if isinstance(columns, Mapping) else list(columns)
    return file_dataset(url, file, schema).to_table(columns=wanted)


def file_dataset(url: str, file: LiveFile, schema: pa.Schema) -> pds.FileSystemDataset:
    """One file as a pyarrow dataset with the table's columns, those of its partition included."""
    store, folder = urls.filesystem(url)
    layout = pds.ParquetFileFormat()
    promise = partition_promise(file.partition, schema, tuple(file.partition))
    fragment = layout.make_fragment(f"{folder}/{file.name}", store, promise)
    return pds.FileSystemDataset([fragment], schema, layout)


def may_hold(table: DeltaTable, keys: pl.DataFrame) -> list[LiveFile]:
    """The files whose statistics do not exclude that they hold one of the keys.

    Args:
        table: The table at its version.
        keys: The key columns, one row per key, without nulls, typed as in the table.
    """
    files = live_files(table)
    actions = pa.table(table.get_add_actions(flatten=True))
    possible = np.ones(len(files), dtype=bool)
    for name in keys.columns:
        possible &= _overlaps(actions, name, keys[name])
    return [file for file, maybe in zip(files, possible, strict=True) if maybe]


def _overlaps(actions: pa.Table, name: str, values: pl.Series) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each file, whether one of the values lies between its bounds; true where there are no bounds."""
    everywhere = np.ones(actions.num_rows, dtype=bool)
    if values.dtype.is_float():
        # Bounds leave NaN out.
        return everywhere
    exact = f"partition.{name}"
    low, high = (exact, exact) if exact in actions.column_names else (f"min.{name}", f"max.{name}")
    if low not in actions.column_names or high not in actions.column_names or values.is_empty():
        return everywhere & (not values.is_empty())
    least, greatest = (_bounds(actions, column, values.dtype) for column in (low, high))
    if least is None or greatest is None:
        return everywhere
    if isinstance(values.dtype, pl.Datetime):
        greatest = greatest + CUT
    known = (least.is_not_null() & greatest.is_not_null()).to_numpy()
    ordered = values.unique().sort()
    fill = ordered[0]
    first = ordered.search_sorted(least.fill_null(fill), side="left")
    last = ordered.search_sorted(greatest.fill_null(fill), side="right")
    return np.asarray((pl.Series(last) > pl.Series(first)).to_numpy() | ~known)


def _bounds(actions: pa.Table, column: str, dtype: pl.DataType) -> pl.Series | None:
    found = pl.Series(pl.from_arrow(actions.select([column])).to_series())  # type: ignore[union-attr]
    if isinstance(dtype, pl.Datetime) and isinstance(found.dtype, pl.Datetime) and found.dtype.time_zone is None:
        found = found.dt.replace_time_zone("UTC")
    try:
        return found.cast(dtype)
    except pl.exceptions.PolarsError:
        return None
