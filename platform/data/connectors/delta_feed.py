"""Another Delta table as a source: what was appended to it since a version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from ...core import SourceError, urls
from ..arrow_types import storable_schema
from ..connector import Cursor, RawBatch, Split
from ..delta_log import arrow_schema, open_delta
from .file_streams import reading

_BATCH_ROWS = 131_072
_RATIO = 4


@dataclass(frozen=True, slots=True)
class DeltaFeed:
    """Rows appended to a Delta table, whoever writes it, from one version to the next.

    Commits that only move rows (compaction) add nothing. A commit that removed or changed rows cannot be followed by
    appending: it is an error, and ``Source(mode="overwrite")`` reads the table whole.

    Attributes:
        url: The table's folder or URL.
        start: Version whose rows are taken too; versions before it count as known. ``None``: everything.

    Example:
        >>> DeltaFeed("s3://partner/events").url
        's3://partner/events'
    """

    url: str
    start: int | None = None

    typed: ClassVar[bool] = True

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """A split per file that was added."""
        table = self._open(None)
        newest = int(table.version())
        known = int(cursor["version"]) if cursor else None
        if known is None and self.start is not None and self.start > 0:
            known = self.start - 1
        if known is not None and known > newest:
            raise SourceError(f"table {self.url} is at version {newest}, before {known}: it was made anew")
        if known is None:
            added = [_added(action) for action in _snapshot(table)]
        else:
            added = [file for version in range(known + 1, newest + 1) for file in self._appended(table, version)]
        splits = [
            Split(f"{self.url}/{file['path']}", {**file, "version": newest}, max(1, file["size"] * _RATIO))
            for file in added
        ]
        return splits, {"version": newest}

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 131,072 rows."""
        schema = storable_schema(arrow_schema(self._open(int(split.address["version"]))))
        store, folder = urls.filesystem(urls.normalise(self.url))
        path = unquote(str(split.address["path"]))
        inner = path if "://" in path else f"{folder}/{path}"
        with reading(split.name, "Parquet"), store.open_input_file(inner) as handle, pq.ParquetFile(handle) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield RawBatch(_completed(pa.Table.from_batches([batch]), schema, split.address["partition"]))

    def _open(self, version: int | None) -> Any:
        table = open_delta(urls.normalise(self.url), version)
        if table is None:
            raise SourceError(f"there is no Delta table at {self.url}: correct the address")
        return table

    def _appended(self, table: Any, version: int) -> list[dict[str, Any]]:
        found = []
        for action in _commit(table, self.url, version):
            if "remove" in action and action["remove"].get("dataChange", True):
                raise SourceError(
                    f"version {version} of table {self.url} removed or changed rows, which appending cannot follow: "
                    "read it with mode='overwrite'"
                )
            if "add" in action and action["add"].get("dataChange", True):
                found.append(_added(action["add"]))
        return found


def _added(action: Any) -> dict[str, Any]:
    return {"path": action["path"], "size": int(action["size"]), "partition": dict(action["partitionValues"] or {})}


def _snapshot(table: Any) -> list[dict[str, Any]]:
    found = pa.table(table.get_add_actions(flatten=False)).to_pylist()
    return [
        {"path": row["path"], "size": row["size_bytes"], "partitionValues": _texts(row.get("partition"))}
        for row in found
    ]


def _texts(values: Any) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in (values or {}).items()}


def _commit(table: Any, url: str, version: int) -> list[dict[str, Any]]:
    store, folder = urls.filesystem(urls.normalise(url))
    try:
        with store.open_input_stream(f"{folder}/_delta_log/{version:020d}.json") as stream:
            return [json.loads(line) for line in stream.read().splitlines() if line.strip()]
    except OSError as error:
        raise SourceError(
            f"version {version} of table {url} is no longer in its log ({error}): give the source a new name to read "
            "the table anew"
        ) from error


def _completed(rows: pa.Table, schema: pa.Schema, partition: dict[str, str | None]) -> pa.Table:
    """The columns of the table: partition values come from the log, columns that are newer than the file are null."""
    columns = []
    for entry in schema:
        if entry.name in rows.column_names:
            columns.append(rows.column(entry.name))
        else:
            value = pa.scalar(partition.get(entry.name), pa.string())
            columns.append(pa.repeat(value.cast(entry.type), rows.num_rows))
    return pa.table(dict(zip(schema.names, columns, strict=True)))
