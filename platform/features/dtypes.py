"""Column types by name, and the one place where columns are cast, checked and brought to UTC microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pyarrow as pa

from ..core import ConfigError, SchemaMismatch

TIMESTAMP = pa.timestamp("us", tz="UTC")
NAMES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "float64": pa.float64(),
        "float32": pa.float32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "string": pa.string(),
        "timestamp": TIMESTAMP,
        "date": pa.date32(),
    }
)
KEY_TYPES = ("string", "int64")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def arrow_type(name: str) -> pa.DataType:
    """The Arrow type called `name` in definitions.

    Raises:
        ConfigError: There is no such type.
    """
    try:
        return NAMES[name]
    except KeyError:
        raise ConfigError(f"column type {name!r} is not known: use one of {', '.join(NAMES)}") from None


def type_name(dtype: pa.DataType) -> str:
    """The name in definitions for an Arrow type, widening (int32 is ``int64``, float16 ``float32``, ...).

    Raises:
        SchemaMismatch: The type has no place in a feature set (lists, structs, decimals, ...).
    """
    if pa.types.is_dictionary(dtype):
        return type_name(dtype.value_type)
    checks = {
        "bool": pa.types.is_boolean(dtype),
        "int64": pa.types.is_integer(dtype),
        "float64": pa.types.is_float64(dtype),
        "float32": pa.types.is_float32(dtype) or pa.types.is_float16(dtype),
        "string": pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype),
        "timestamp": pa.types.is_timestamp(dtype),
        "date": pa.types.is_date(dtype),
    }
    for name, holds in checks.items():
        if holds:
            return name
    raise SchemaMismatch(f"type {dtype} cannot be a request or feature column: use one of {', '.join(NAMES)}")


def micros(moment: datetime, what: str = "moment") -> int:
    """Microseconds since 1970 UTC of an aware datetime.

    Raises:
        ConfigError: `moment` has no time zone.
    """
    if moment.tzinfo is None:
        raise ConfigError(f"{what} {moment!r} has no time zone: use an aware datetime, e.g. with tzinfo=timezone.utc")
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def span_micros(span: timedelta) -> int:
    """Microseconds of a timedelta, exactly."""
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def require_columns(table: pa.Table, names: Iterable[str], where: str) -> None:
    """Check that `table` has each of `names` exactly once.

    Raises:
        SchemaMismatch: One is missing or doubled; the message lists what there is.
    """
    present = table.column_names
    for name in names:
        if present.count(name) != 1:
            state = "is missing" if name not in present else "is there more than once"
            raise SchemaMismatch(f"{where}: column {name!r} {state}; there are {', '.join(present) or 'no columns'}")


def cast_column(column: pa.ChunkedArray, dtype: pa.DataType, name: str, where: str) -> pa.ChunkedArray:
    """`column` as `dtype`; a naive timestamp, a lossy cast or unparsable text is refused.

    Raises:
        SchemaMismatch: The column cannot be that type.
    """
    if column.type == dtype:
        return column
    if pa.types.is_timestamp(dtype):
        _require_aware(column.type, name, where)
    text = pa.types.is_string(dtype)
    if not pa.types.is_null(column.type) and text != (type_name(column.type) == "string"):
        raise SchemaMismatch(_mismatch(column.type, dtype, name, where))
    try:
        return column.cast(dtype)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(f"{_mismatch(column.type, dtype, name, where)} ({error})") from error


def _require_aware(dtype: pa.DataType, name: str, where: str) -> None:
    if pa.types.is_null(dtype):
        return
    if not pa.types.is_timestamp(dtype):
        raise SchemaMismatch(f"{where}: column {name!r} is {dtype}, expected a timestamp with time zone")
    if dtype.tz is None:
        raise SchemaMismatch(
            f"{where}: column {name!r} has no time zone, so its moments are unknown: "
            "make it UTC first, e.g. with pyarrow.compute.assume_timezone(column, 'UTC')"
        )


def _mismatch(found: pa.DataType, wanted: pa.DataType, name: str, where: str) -> str:
    declared = next((key for key, value in NAMES.items() if value == wanted), str(wanted))
    return (
        f"{where}: column {name!r} is {found} and cannot be {declared}: "
        f"declare its type with types={{{name!r}: ...}}, or cast it in the transform"
    )
