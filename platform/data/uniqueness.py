"""The expectation `unique`, checked by the driver on the files that tasks wrote, before they are committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.dataset as pds

from ..core import Ref, Workspace, urls
from .arrow_types import fit_to_schema
from .delta_log import arrow_schema, require
from .expectations import Expectation
from .file_writer import FileWriter, NewFile, remove_files
from .keyed import BATCH_ROW, match
from .promises import partition_promise
from .quarantine import QUARANTINE_SCHEMA, rejected
from .storage_errors import storage_errors


@dataclass(frozen=True, slots=True)
class Pending:
    """Files that wait for their commit.

    Attributes:
        url: The table's folder.
        schema: The table's columns.
        partitions: The table's partition columns.
        files: The files, in the order of the source.
    """

    url: str
    schema: pa.Schema
    partitions: tuple[str, ...]
    files: tuple[NewFile, ...]


def repeats(ws: Workspace, ref: Ref | None, rule: Expectation, pending: Pending) -> dict[int, list[int]]:
    """Which rows repeat an earlier row's key: index of the file to the row numbers in it.

    Of the table, only files are opened whose statistics do not exclude every new key, and of those the key columns
    alone, a few files at a time: with keys that grow, such as numbers or times, the table is not read at all.

    Args:
        ws: The workspace.
        ref: The table whose rows count as earlier, at a pinned version; ``None`` when there are none.
        rule: A `unique` expectation.
        pending: The new files.
    """
    columns = list(rule.columns)
    parts = [
        pl.DataFrame(read_pending(pending, file, columns))
        .with_columns(file=pl.lit(index, pl.UInt32))
        .with_row_index("row")
        for index, file in enumerate(pending.files)
    ]
    if not parts:
        return {}
    new = pl.concat(parts).drop_nulls(columns)
    later = new.filter(~pl.struct(columns).is_first_distinct())
    if ref is not None:
        known = _known(ws, ref, new.select(columns).unique())
        later = pl.concat([later, new.join(known, on=columns, how="semi")]).unique(["file", "row"])
    grouped = later.sort("file", "row").group_by("file", maintain_order=True).agg("row")
    return {int(index): rows for index, rows in grouped.iter_rows()}


def _known(ws: Workspace, ref: Ref, keys: pl.DataFrame) -> pl.DataFrame:
    """Those of the keys that are in the table."""
    opened = require(ws, ref)
    schema = arrow_schema(opened)
    typed = fit_to_schema(keys.to_arrow(), pa.schema([schema.field(name) for name in keys.columns]))
    with storage_errors(ws.table_url(ref)):
        found = match(opened, ws.table_url(ref), typed, keys.columns)
    return keys[found.rows[BATCH_ROW].unique().to_numpy()]


def remove_rows(
    pending: Pending, found: dict[int, list[int]], rule: Expectation, reject_url: str, source: str
) -> tuple[Pending, list[NewFile]]:
    """Rewrite the files that hold repeated rows without them; return the files, and those of rejected rows."""
    rejects = FileWriter(reject_url, QUARANTINE_SCHEMA)
    replaced: dict[int, list[NewFile]] = {}
    for index, numbers in found.items():
        rows = read_pending(pending, pending.files[index], pending.schema.names)
        bad = pl.Series(numbers, dtype=pl.UInt32)
        mask = pa.array(~pl.int_range(rows.num_rows, dtype=pl.UInt32, eager=True).is_in(bad.implode()))
        if rule.on_fail == "quarantine":
            out = rows.take(pa.array(numbers))
            rejects.write(rejected(out, [rule.name] * out.num_rows, source))
        writer = FileWriter(pending.url, pending.schema, pending.partitions)
        writer.write(rows.filter(mask))
        replaced[index] = writer.close()
    remove_files(pending.url, [pending.files[index].path for index in found])
    files = [new for index, file in enumerate(pending.files) for new in replaced.get(index, [file])]
    return Pending(pending.url, pending.schema, pending.partitions, tuple(files)), rejects.close()


def read_pending(pending: Pending, file: NewFile, columns: Sequence[str]) -> Any:
    """Columns of a file that waits for its commit."""
    store, folder = urls.filesystem(pending.url)
    layout = pds.ParquetFileFormat()
    promise = partition_promise(file.partition, pending.schema, pending.partitions)
    fragment = layout.make_fragment(f"{folder}/{file.path}", store, promise)
    return pds.FileSystemDataset([fragment], pending.schema, layout).to_table(columns=list(columns))
