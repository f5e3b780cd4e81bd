"""From text (or any Arrow type) to the declared type, vectorised, and telling which cells did not fit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrow_types import UTC_MICROSECONDS, type_name

_INTEGER = r"^[+-]?[0-9]{1,19}$"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|inf(inity)?|nan|Inf(inity)?|NaN|NAN)$"
_ZONE = r"([zZ]|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})$"
_STAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+)?\s*" + _ZONE[:-1] + r"?$"


def nullify(column: pa.ChunkedArray, null_values: tuple[str, ...]) -> pa.ChunkedArray:
    """Replace the texts that mean "nothing" by null."""
    if not null_values or not pa.types.is_string(column.type):
        return column
    marks = pc.is_in(column, value_set=pa.array(null_values, pa.string()))
    if not pc.any(marks).as_py():
        return column
    return pc.if_else(marks, pa.scalar(None, pa.string()), column)


def cast_column(
    column: pa.ChunkedArray, dtype: pa.DataType, null_values: tuple[str, ...] = ()
) -> tuple[pa.ChunkedArray, pa.Array | None]:
    """Cast a column to `dtype`.

    Args:
        column: Any type; text is trimmed before it is read as a number, a time or a truth value. A time
            without a zone counts as UTC.
        dtype: The declared type.
        null_values: Texts that mean "nothing".

    Returns:
        The typed column (null in every cell that does not fit), and the mask of those cells, bool of the same
        length, or ``None`` when every cell fits.

    Example:
        >>> values, bad = cast_column(pa.chunked_array([["1", "x", None]]), pa.int64())
        >>> values.to_pylist(), bad.to_pylist()
        ([1, None, None], [False, True, False])
    """
    text = pa.types.is_string(column.type)
    if column.type == dtype:
        return nullify(column, null_values), None
    # Most columns are clean: they are read as they stand, and tidied only when that fails.
    if not (text and _readable(null_values, dtype)):
        try:
            return _cast(column, dtype), None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    column = nullify(column, null_values)
    prepared = column
    for _ in range(2):
        try:
            return _cast(prepared, dtype), None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            prepared = _tidied(column, dtype) if text else column
    whole = _one_chunk(prepared)
    candidate = _plausible(whole, dtype) if text else pc.is_valid(whole)
    hopeful = pc.if_else(candidate, whole, pa.scalar(None, whole.type))
    values = pa.chunked_array(_cast_by_halves(hopeful, dtype), dtype)
    bad = pc.and_(pc.is_valid(whole), pc.is_null(_one_chunk(values)))
    return values, bad


def fits(values: pa.Array, dtype: pa.DataType) -> bool:
    """Whether every text is readable as `dtype`.

    Example:
        >>> fits(pa.array(["1", " 2 "]), pa.int64()), fits(pa.array(["1", "x"]), pa.int64())
        (True, False)
    """
    try:
        _cast(_tidied(values, dtype), dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


@lru_cache(maxsize=256)
def _readable(null_values: tuple[str, ...], dtype: pa.DataType) -> bool:
    """Whether a text that means "nothing" could be read as a value, such as -999: then it must be looked for first."""
    return any(fits(pa.array([text], pa.string()), dtype) for text in null_values)


def _tidied(column: pa.ChunkedArray | pa.Array, dtype: pa.DataType) -> pa.ChunkedArray | pa.Array:
    trimmed = pc.utf8_trim_whitespace(column)
    # Arrow's text to integer refuses a leading plus.
    return pc.replace_substring_regex(trimmed, r"^\+([0-9])", r"\1") if pa.types.is_integer(dtype) else trimmed


def _cast(column: pa.ChunkedArray | pa.Array, dtype: pa.DataType) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_timestamp(dtype) and pa.types.is_string(column.type):
        return _cast_times(column)
    # Arrow reads 0x1F as hexadecimal.
    if pa.types.is_integer(dtype) and pa.types.is_string(column.type) and _has_x(column):
        raise pa.ArrowInvalid("hexadecimal")
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(dtype):
        return column.cast(dtype, safe=False)
    return column.cast(dtype)


def _has_x(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether an x is in the bytes of the texts: a tenth of the time of a search in each of them."""
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        _, offsets, data = chunk.buffers()
        if data is None or not len(chunk):
            continue
        places = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        found = bytes(data[int(places[0]) : int(places[-1])])
        if b"x" in found or b"X" in found:
            return True
    return False


def _cast_times(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    try:
        return column.cast(UTC_MICROSECONDS)
    except pa.ArrowInvalid:
        zoned = pc.match_substring_regex(column, r":.*" + _ZONE)
        nothing = pa.scalar(None, column.type)
        with_zone = pc.if_else(zoned, column, nothing).cast(UTC_MICROSECONDS)
        plain = pc.if_else(zoned, nothing, column).cast(pa.timestamp("us")).cast(UTC_MICROSECONDS)
        return pc.coalesce(with_zone, plain)


def _plausible(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Cells worth a try, so that a column full of wrong text does not cost a search for each."""
    if pa.types.is_integer(dtype):
        return pc.match_substring_regex(column, _INTEGER)
    if pa.types.is_floating(dtype):
        return pc.match_substring_regex(column, _NUMBER)
    if pa.types.is_timestamp(dtype):
        return pc.match_substring_regex(column, _STAMP)
    if pa.types.is_date(dtype):
        return pc.match_substring_regex(column, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    if pa.types.is_boolean(dtype):
        return pc.match_substring_regex(column, r"^(?i:true|false|1|0)$")
    return pc.is_valid(column)


def _cast_by_halves(column: pa.Array, dtype: pa.DataType) -> list[pa.Array]:
    """Cast what can be cast; halving finds the few cells that cannot in O(log n) casts each."""
    try:
        return [_cast(column, dtype)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(column) == 1:
            return [pa.nulls(1, dtype)]
        middle = len(column) // 2
        return [*_cast_by_halves(column[:middle], dtype), *_cast_by_halves(column[middle:], dtype)]


def _one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column


def cast_table(
    table: pa.Table, schema: pa.Schema, null_values: tuple[str, ...]
) -> tuple[pa.Table, dict[str, pa.Array]]:
    """Give every column of `schema` its type; return the table and, per column, the mask of unreadable cells.

    Example:
        >>> raw = pa.table({"n": ["1", "NA", "x"]})
        >>> typed, bad = cast_table(raw, pa.schema([("n", pa.int64())]), ("", "NA"))
        >>> typed["n"].to_pylist(), bad["n"].to_pylist()
        ([1, None, None], [False, False, True])
    """
    columns, masks = [], {}
    for field in schema:
        values, bad = cast_column(table.column(field.name), field.type, null_values)
        columns.append(values)
        if bad is not None:
            masks[field.name] = bad
    return pa.table(columns, schema=schema), masks


def complaint(column: str, text: object, dtype: pa.DataType) -> str:
    """The reason written beside a quarantined row.

    Example:
        >>> complaint("distance", "12x", pa.int64())
        "distance: '12x' is not a valid int64"
    """
    return f"{column}: {text!r} is not a valid {type_name(dtype)}"
