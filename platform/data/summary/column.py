"""One column as a mergeable summary."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .distinct import Distinct
from .frequent import Frequent
from .hashing import hash_values
from .numbers import Floats, Numbers

Kind = Literal["number", "time", "boolean", "text", "other"]
_CHECKED = 65_536  # this many rows tell whether counting values is worth it
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """What is known of a column's values; two of them merge into that of all rows.

    Attributes:
        name: The column.
        type: Its Arrow type as text.
        kind: ``number``, ``time`` (as microseconds, days, ... since 1970 in `numbers`), ``boolean``, ``text`` (lengths
            in characters in `numbers`) or ``other`` (nested and binary values).
        rows: All rows.
        nulls: Rows without a value.
        nans: Rows with a floating-point NaN, which counts as no value everywhere else.
        numbers: Moments and quantiles, ``None`` for booleans and others.
        distinct: How many different values.
        frequent: Most frequent values; ``None`` where nearly every value is another (and for others).
        examples: Up to five different values, the first that were seen.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    nulls: int
    nans: int
    numbers: Numbers | None
    distinct: Distinct
    frequent: Frequent | None
    examples: pa.Array

    def merge(self, other: ColumnSummary) -> ColumnSummary:
        """Of the rows of both."""
        numbers, frequent = self.numbers, None
        if self.numbers is not None and other.numbers is not None:
            numbers = self.numbers.merge(other.numbers)
        if self.frequent is not None and other.frequent is not None:
            frequent = self.frequent.merge(other.frequent)
        return dataclasses.replace(
            self,
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            nans=self.nans + other.nans,
            numbers=numbers,
            distinct=self.distinct.merge(other.distinct),
            frequent=frequent,
            examples=_different([self.examples, other.examples.cast(self.examples.type)]),
        )

    @property
    def missing(self) -> int:
        """Nulls and NaN together."""
        return self.nulls + self.nans

    @property
    def distinct_values(self) -> int:
        """Number of different values: exact while the table of frequent values is complete, else within 1.6 %."""
        if self.frequent is not None and self.frequent.complete:
            return len(self.frequent.counts)
        return min(self.distinct.estimate(), self.rows - self.missing)


def summarise_column(name: str, column: pa.Array | pa.ChunkedArray) -> ColumnSummary:
    """The summary of one column.

    Example:
        >>> found = summarise_column("distance", pa.array([200.0, 400.0, None, float("nan")]))
        >>> found.rows, found.missing, found.numbers.mean, found.distinct_values
        (4, 2, 300.0, 2)
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = kind_of(values.type)
    nulls, rows = values.null_count, len(values)
    present = values.drop_null()
    nans = 0
    if pa.types.is_floating(present.type):
        holes = pc.is_nan(present)
        nans = int(pc.sum(holes).as_py() or 0)
        present = present.filter(pc.invert(holes)) if nans else present
    frequent = _frequent(present, kind)
    seen = present if frequent is None or not frequent.complete else frequent.values
    return ColumnSummary(
        name=name,
        type=str(values.type),
        kind=kind,
        rows=rows,
        nulls=nulls,
        nans=nans,
        numbers=_numbers(present, kind),
        distinct=Distinct.of(hash_values(seen)),
        frequent=frequent,
        examples=_different([present.slice(0, 200)]),
    )


def kind_of(dtype: pa.DataType) -> Kind:
    """How values of a type are summarised.

    Example:
        >>> kind_of(pa.int64()), kind_of(pa.timestamp("us")), kind_of(pa.list_(pa.int64()))
        ('number', 'time', 'other')
    """
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    if pa.types.is_boolean(dtype):
        return "boolean"
    if pa.types.is_temporal(dtype) and not pa.types.is_interval(dtype):
        return "time"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return "text"
    return "other"


def as_floats(values: pa.Array | pa.ChunkedArray) -> Floats:
    """A column of numbers, times or booleans as float64, NaN for null; shape ``(rows,)``."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    elif pa.types.is_temporal(array.type):
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _numbers(present: pa.Array, kind: Kind) -> Numbers | None:
    if kind in ("number", "time"):
        return Numbers.of(as_floats(present))
    return Numbers.of(as_floats(pc.utf8_length(present))) if kind == "text" else None


def _frequent(present: pa.Array, kind: Kind) -> Frequent | None:
    """Frequent values where values repeat; floats repeat rarely, and counting them would cost most of the time."""
    if kind == "other":
        return None
    first = present.slice(0, _CHECKED)
    repeats = len(first) < 1000 or pc.count_distinct(first).as_py() < 0.5 * len(first)
    return Frequent.of(present) if repeats else None


def _different(parts: list[pa.Array]) -> pa.Array:
    """The first different values of the parts."""
    values = pa.concat_arrays(parts)
    try:
        return values.unique().slice(0, _EXAMPLES)
    except pa.ArrowNotImplementedError:  # nested values
        return values.slice(0, _EXAMPLES)
