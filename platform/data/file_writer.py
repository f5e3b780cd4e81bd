"""Parquet files with the statistics that let readers skip them; invisible until a commit names them."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..core import urls
from .arrow_types import fit_to_schema
from .storage_errors import storage_errors

TARGET_BYTES = 128 * 1024 * 1024
_ROW_GROUP_ROWS = 262_144
_LONGEST_TEXT = 64
_MOST_OPEN = 200


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that lies in a table's folder and waits for its commit.

    Attributes:
        path: Name relative to the table's folder.
        size: Bytes.
        rows: Number of rows.
        partition: Partition column to its value as text (``None`` for null).
        modified: Milliseconds since 1970.
        stats: Delta's statistics as JSON: numRecords, minValues, maxValues, nullCount.
        columns: Column name to Arrow type as text, for the driver's own check.
    """

    path: str
    size: int
    rows: int
    partition: Mapping[str, str | None]
    modified: int
    stats: str
    columns: Mapping[str, str]

    def without_bounds(self) -> NewFile:
        """The same file, with the number of its rows as only statistics: for files whose values must not spread."""
        return replace(self, stats=json.dumps({"numRecords": self.rows}))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary; ``NewFile(**d)`` is the way back."""
        return asdict(self)


@dataclass(slots=True)
class FileWriter:
    """Writes tables into as few Parquet files as their target size allows; `close` returns them.

    Not thread-safe; one per task. After an error, `discard` removes what was written.

    Attributes:
        url: The table's folder.
        schema: The table's columns, partition columns included.
        partition_by: Names of the partition columns; their values lie in the log, not in the files.
        target_bytes: A file that reaches this size is closed and a next one opened.
    """

    url: str
    schema: pa.Schema
    partition_by: Sequence[str] = ()
    target_bytes: int = TARGET_BYTES
    _open: dict[tuple[str | None, ...], _OpenFile] = field(default_factory=dict)
    _done: list[NewFile] = field(default_factory=list)

    def write(self, table: pa.Table) -> None:
        """Append rows; columns are fitted to the schema."""
        if table.num_rows == 0:
            return
        fitted = fit_to_schema(table, self.schema)
        for key, rows in _by_partition(fitted, self.partition_by):
            with storage_errors(self.url):
                current = self._open.get(key)
                if current is None:
                    self._make_room()
                    current = self._open[key] = _OpenFile.create(self.url, rows.schema)
                current.writer.write_table(rows, row_group_size=_ROW_GROUP_ROWS)
                if current.sink.tell() >= self.target_bytes:
                    self._finish(key)

    def close(self) -> list[NewFile]:
        """Finish every file and return them all."""
        with storage_errors(self.url):
            for key in list(self._open):
                self._finish(key)
        return self._done

    def discard(self) -> None:
        """Remove every file, finished or not; best effort, since vacuum collects what stays."""
        for open_file in self._open.values():
            open_file.abandon()
        remove_files(self.url, [entry.name for entry in self._open.values()] + [file.path for file in self._done])
        self._open.clear()
        self._done.clear()

    def _make_room(self) -> None:
        """A process may hold so many files open; partitions beyond that get several files."""
        while len(self._open) >= _MOST_OPEN:
            self._finish(next(iter(self._open)))

    def _finish(self, key: tuple[str | None, ...]) -> None:
        current = self._open.pop(key)
        partition = dict(zip(self.partition_by, key, strict=True))
        try:
            self._done.append(current.finish(partition, self.schema))
        except OSError:
            self._open[key] = current
            raise


@dataclass(slots=True)
class _OpenFile:
    name: str
    sink: Any
    writer: pq.ParquetWriter
    metadata: list[Any]

    @classmethod
    def create(cls, url: str, schema: pa.Schema) -> _OpenFile:
        store, folder = urls.writable_folder(url)
        name = f"part-{uuid.uuid4().hex}.parquet"
        sink = store.open_output_stream(f"{folder}/{name}")
        collected: list[Any] = []
        writer = pq.ParquetWriter(sink, schema, metadata_collector=collected, **_encoding(schema))
        return cls(name, sink, writer, collected)

    def finish(self, partition: dict[str, str | None], schema: pa.Schema) -> NewFile:
        self.writer.close()
        size = self.sink.tell()
        self.sink.close()
        facts = self.metadata[0]
        columns = {entry.name: str(entry.type) for entry in schema}
        stats = json.dumps(_statistics(facts))
        return NewFile(self.name, size, facts.num_rows, partition, time.time_ns() // 10**6, stats, columns)

    def abandon(self) -> None:
        # Or pyarrow would write the footer into the closed file when it drops the writer.
        self.writer.is_open = False
        try:
            self.sink.close()
        except OSError:
            return


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How columns are encoded: measured, see docs/data-performance.md.

    Dictionaries of numbers cost twice the time of writing and make files larger. Whole numbers and times as packed
    differences take half the time of zstd, and as little space; text is worth zstd.
    """
    texts = [one.name for one in schema if pa.types.is_string(one.type) or pa.types.is_binary(one.type)]
    whole = [one.name for one in schema if pa.types.is_integer(one.type) or pa.types.is_temporal(one.type)]
    nested = [one.name for one in schema if pa.types.is_nested(one.type)]
    return {
        "use_dictionary": texts or False,
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED") or None,
        "compression": "zstd" if nested else {one.name: "zstd" if one.name in texts else "snappy" for one in schema},
    }


def remove_files(url: str, names: Sequence[str]) -> None:
    """Remove files that no commit names; best effort."""
    store, folder = urls.filesystem(url)
    for name in names:
        try:
            store.delete_file(f"{folder}/{name}")
        except OSError:
            continue


def _by_partition(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[tuple[str | None, ...], pa.Table]]:
    if not columns:
        yield (), table
        return
    values = pl.DataFrame(pl.from_arrow(table.select(list(columns)))).with_row_index("__row")
    rest = table.drop_columns(list(columns))
    groups = values.group_by(columns, maintain_order=True).agg("__row")
    for key, rows in zip(groups.select(columns).iter_rows(), groups["__row"], strict=True):
        yield tuple(partition_text(value) for value in key), rest.take(rows.to_arrow())


def partition_text(value: Any) -> str | None:
    """A partition's value as the log writes it."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return str(value)


def _statistics(facts: Any) -> dict[str, Any]:
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for index in range(facts.num_columns):
        parts = [facts.row_group(group).column(index) for group in range(facts.num_row_groups)]
        name = parts[0].path_in_schema if parts else ""
        if not parts or "." in name or any(part.statistics is None for part in parts):
            continue
        found = [part.statistics for part in parts]
        if all(one.has_null_count for one in found):
            nulls[name] = sum(one.null_count for one in found)
        bounded = [one for one in found if one.has_min_max]
        complete = all(one.has_min_max or one.num_values == 0 for one in found)
        if bounded and complete:
            _bounds(name, min(one.min for one in bounded), max(one.max for one in bounded), low, high)
    return {"numRecords": facts.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}


def _bounds(name: str, least: Any, greatest: Any, low: dict[str, Any], high: dict[str, Any]) -> None:
    """Add the bounds of a column whose kind Delta keeps bounds of; a bound must never exclude a value."""
    if isinstance(least, bool | bytes):
        return
    if (
        isinstance(least, int)
        or (isinstance(least, float) and math.isfinite(least) and math.isfinite(greatest))
        or (isinstance(least, str) and len(greatest) <= _LONGEST_TEXT and len(least) <= _LONGEST_TEXT)
    ):
        low[name], high[name] = least, greatest
    elif isinstance(least, datetime):
        # Delta keeps milliseconds: round the lower bound down and the upper bound up.
        low[name] = _milliseconds(least, up=False)
        high[name] = _milliseconds(greatest, up=True)
    elif isinstance(least, date):
        low[name], high[name] = least.isoformat(), greatest.isoformat()


def _milliseconds(moment: datetime, *, up: bool) -> str:
    cut = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if up and cut != moment:
        cut += timedelta(milliseconds=1)
    return cut.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{cut.microsecond // 1000:03d}Z"
