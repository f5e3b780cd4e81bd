"""CSV cells read as numbers and times at once, where that gives exactly what text and a cast would give.

Splitting lines into cells costs most of reading; making text of each cell first and values of that later costs half as
much again. So blocks are converted while they are split, as long as every cell fits; from the first one on that does
not, the file is read as text, so that the bad cells can be shown and kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.csv

from .arrow_types import UTC_MICROSECONDS
from .casting import cast_column, nullify
from .connector import RawBatch

HEAD_BYTES = 64 * 1024
_NAIVE = pa.timestamp("us")
AS_TEXT = pa.csv.ConvertOptions(default_column_type=pa.string(), strings_can_be_null=False)


class Unsure(Exception):
    """Typed reading cannot tell what text would give."""


def as_types(types: pa.Schema, null_values: Sequence[str]) -> Any:
    """Conversion options for these types."""
    return pa.csv.ConvertOptions(
        column_types=types,
        default_column_type=pa.string(),
        null_values=list(null_values),
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )


def types_of_head(head: bytes, schema: pa.Schema, null_values: tuple[str, ...], parse: Any) -> pa.Schema | None:
    """The types under which a file that begins with `head` can be read; ``None`` when it is better read as text.

    Times are either all with a zone, or all without: Arrow's reader converts a column in one way.
    """
    lines = head[: head.rfind(b"\n") + 1]
    try:
        table = pa.csv.read_csv(io.BytesIO(lines), parse_options=parse, convert_options=AS_TEXT)
    except pa.ArrowInvalid:
        return None
    types = {}
    for entry in schema:
        if entry.name not in table.column_names:
            continue
        column = table.column(entry.name)
        if cast_column(column, entry.type, null_values)[1] is not None:
            return None
        types[entry.name] = _NAIVE if _is_naive(nullify(column, null_values), entry.type) else entry.type
    return pa.schema(types)


def in_utc(table: pa.Table) -> pa.Table:
    """Times without a zone count as UTC."""
    for place, entry in enumerate(table.schema):
        if entry.type == _NAIVE:
            table = table.set_column(place, entry.name, table.column(place).cast(UTC_MICROSECONDS))
    return table


def after(batches: Iterator[RawBatch], rows: int, broken: int) -> Iterator[RawBatch]:
    """Batches without their first rows and first broken lines."""
    for batch in batches:
        count, lines = batch.rows.num_rows, len(batch.broken)
        if count > rows or lines > broken:
            yield RawBatch(batch.rows.slice(rows), batch.broken[broken:])
        rows, broken = max(0, rows - count), max(0, broken - lines)


@dataclass(slots=True)
class Original:
    """The rows of a split as text, read when somebody asks: at most once through the file.

    Attributes:
        batches: The split, as text.
    """

    batches: Iterator[RawBatch]
    _first: int = 0
    _held: list[pa.Table] = field(default_factory=list)

    def rows(self, start: int, count: int) -> pa.Table:
        """`count` rows from the `start`-th on; later calls ask for later rows."""
        while self._held and self._first + self._held[0].num_rows <= start:
            self._first += self._held.pop(0).num_rows
        while (end := self._first + sum(part.num_rows for part in self._held)) < start + count:
            part = next(self.batches).rows
            if end + part.num_rows <= start and not self._held:
                self._first += part.num_rows
            else:
                self._held.append(part)
        return pa.concat_tables(self._held).slice(start - self._first, count)


def _is_naive(column: pa.ChunkedArray, dtype: pa.DataType) -> bool:
    if not pa.types.is_timestamp(dtype):
        return False
    try:
        column.cast(UTC_MICROSECONDS)
    except pa.ArrowInvalid:
        return True
    return False
