"""Schema discovery: the narrowest type that every sampled text of a column fits."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from .arrow_types import storable
from .casting import fits, nullify

# A code such as 00501 is text: as a number it would lose its zeros.
_LEADING_ZERO = r"^[+-]?0[0-9]"


def discover_schema(sample: pa.Table, null_values: tuple[str, ...], *, typed: bool = False) -> pa.Schema:
    """Propose a type per column of a sample.

    Args:
        sample: Text columns are tried as int64, float64, bool, date, timestamp, string, in this order; others keep
            their type.
        null_values: Texts that mean null.
        typed: Whether the source knows its types, so that its text columns stay text.

    Example:
        >>> discover_schema(pa.table({"n": ["1", "NA"], "zip": ["00501", "1"], "day": ["2013-01-01", ""]}), ("", "NA"))
        n: int64
        zip: string
        day: date32[day]
    """
    fields = []
    for name in sample.column_names:
        column = sample.column(name)
        dtype = (
            _discover(nullify(column, null_values)) if pa.types.is_string(column.type) and not typed else column.type
        )
        fields.append(pa.field(name, storable(dtype, name)))
    return pa.schema(fields)


def joined(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    """One column of several samples; where their types differ, numbers become float64 and all else text.

    Example:
        >>> joined([pa.table({"n": [1]}), pa.table({"m": ["x"]}), pa.table({"n": ["y"]})], "n").to_pylist()
        ['1', 'y']
    """
    columns = [table.column(name) for table in tables if name in table.column_names]
    types = {column.type for column in columns if not pa.types.is_null(column.type)} or {pa.string()}
    if len(types) == 1:
        dtype = types.pop()
    else:
        numbers = all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in types)
        dtype = pa.float64() if numbers else pa.string()
    return pa.chunked_array([chunk for column in columns for chunk in column.cast(dtype).chunks], dtype)


def _discover(column: pa.ChunkedArray) -> pa.DataType:
    values = pc.drop_null(pc.unique(column))
    if len(values) == 0 or pc.any(pc.match_substring_regex(values, _LEADING_ZERO)).as_py():
        return _time_type(values)
    for dtype in (pa.int64(), pa.float64()):
        if fits(values, dtype):
            return dtype
    if pc.all(pc.match_substring_regex(values, r"^(?i:true|false)$")).as_py():
        return pa.bool_()
    return _time_type(values)


def _time_type(values: pa.Array) -> pa.DataType:
    if len(values) == 0:
        return pa.string()
    if fits(values, pa.date32()):
        return pa.date32()
    stamp = pa.timestamp("us", tz="UTC")
    return stamp if fits(values, stamp) else pa.string()
