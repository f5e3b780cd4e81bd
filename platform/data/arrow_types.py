"""Column types: the short names a person writes, and the Arrow types that Delta can hold."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from ..core import ConfigError, SchemaMismatch

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")

NAMED_TYPES: Mapping[str, pa.DataType] = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": UTC_MICROSECONDS,
    "date": pa.date32(),
}

_WIDENED: Mapping[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}


def arrow_type(name: str, column: str) -> pa.DataType:
    """The Arrow type of a short name such as ``int64`` or ``timestamp``."""
    if name not in NAMED_TYPES:
        raise ConfigError(f"column {column!r} has unknown type {name!r}: use one of {', '.join(NAMED_TYPES)}")
    return NAMED_TYPES[name]


def type_name(dtype: pa.DataType) -> str:
    """The short name of an Arrow type; Arrow's own text where there is none."""
    for name, known in NAMED_TYPES.items():
        if dtype == known:
            return name
    return str(dtype)


def describe(schema: pa.Schema) -> dict[str, str]:
    """Column name to type name, in column order.

    Example:
        >>> describe(pa.schema([("at", UTC_MICROSECONDS), ("n", pa.int64())]))
        {'at': 'timestamp', 'n': 'int64'}
    """
    return {field.name: type_name(field.type) for field in schema}


def storable(dtype: pa.DataType, column: str) -> pa.DataType:
    """The nearest type that Delta keeps without loss of meaning.

    Unsigned integers widen, timestamps become UTC microseconds (those without a zone count as UTC),
    dictionaries decode.

    Raises:
        SchemaMismatch: Delta has no such type (times, durations, all-null columns).
    """
    if pa.types.is_timestamp(dtype):
        return UTC_MICROSECONDS
    if pa.types.is_dictionary(dtype):
        return storable(dtype.value_type, column)
    if dtype in _WIDENED:
        return _WIDENED[dtype]
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return pa.list_(pa.field("element", storable(dtype.value_type, column)))
    if pa.types.is_struct(dtype):
        return pa.struct([pa.field(part.name, storable(part.type, f"{column}.{part.name}")) for part in dtype])
    if pa.types.is_map(dtype):
        return pa.map_(storable(dtype.key_type, column), storable(dtype.item_type, column))
    plain = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
    if plain or dtype in (pa.string(), pa.binary(), pa.bool_(), pa.date32()):
        return dtype
    raise SchemaMismatch(
        f"column {column!r} has type {dtype}, which a table cannot hold: cast it to one of "
        f"{', '.join(NAMED_TYPES)} first"
    )


def storable_schema(schema: pa.Schema, *, known: pa.Schema | None = None) -> pa.Schema:
    """The schema under which `schema` is stored; all-null columns take their type from `known`.

    Raises:
        SchemaMismatch: A column has no name, is there twice, or has a type that Delta cannot hold.
    """
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        what = f"columns {twice} are there twice" if twice else "a column has no name"
        raise SchemaMismatch(f"{what}: give every column a name of its own")
    fields = []
    for field in schema:
        dtype = field.type
        if pa.types.is_null(dtype) and known is not None and field.name in known.names:
            dtype = known.field(field.name).type
        fields.append(pa.field(field.name, storable(dtype, field.name)))
    return pa.schema(fields)


def fit_to_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the columns of `schema`, in that order; missing ones become null.

    Raises:
        SchemaMismatch: A value does not fit its column's type; the message names column and both types.
    """
    return pa.table([_fit_column(table, field) for field in schema], schema=schema)


def _fit_column(table: pa.Table, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    column = table.column(field.name)
    if column.type == field.type:
        return column
    # Nanoseconds are cut to microseconds on purpose; every other loss is refused.
    safe = not pa.types.is_timestamp(column.type)
    try:
        return column.cast(field.type, safe=safe)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"column {field.name!r} is {column.type} and does not fit {type_name(field.type)}: {error}. "
            "Cast it, or correct the values"
        ) from error


def reconcile(found: pa.Schema, stored: pa.Schema, table: str, *, evolve: bool) -> pa.Schema:
    """What the table's schema must become so that `found` can be written; `stored` itself when nothing changes.

    Integers and floats may be written to a wider column. New columns are accepted only with `evolve`.

    Raises:
        SchemaMismatch: Columns are missing or new, or types differ; the message names them.
    """
    missing = [name for name in stored.names if name not in found.names]
    extra = [name for name in found.names if name not in stored.names]
    problems = type_changes(found, stored) + ([f"missing columns {missing}"] if missing and not evolve else [])
    if extra and not evolve:
        problems.append(f"unknown columns {extra}")
    if problems:
        raise SchemaMismatch(
            f"data does not fit table {table}: {'; '.join(problems)}. The table has {describe(stored)}. "
            "Correct the data, or allow new columns with schema_mode='evolve'"
        )
    return pa.schema([*stored, *(found.field(name) for name in extra)])


def type_changes(found: pa.Schema, stored: pa.Schema) -> list[str]:
    """What is wrong with the types of the columns that are in both, column by column, for people.

    Example:
        >>> type_changes(pa.schema([("n", pa.string())]), pa.schema([("n", pa.int64())]))
        ["'n' is string but the table has int64"]
    """
    return [
        f"{field.name!r} is {type_name(found.field(field.name).type)} but the table has {type_name(field.type)}"
        for field in stored
        if field.name in found.names and not _widens(found.field(field.name).type, field.type)
    ]


def _widens(source: pa.DataType, target: pa.DataType) -> bool:
    if source == target:
        return True
    both_int = pa.types.is_signed_integer(source) and pa.types.is_signed_integer(target)
    both_float = pa.types.is_floating(source) and pa.types.is_floating(target)
    if both_int or both_float:
        return bool(source.bit_width <= target.bit_width)
    if pa.types.is_signed_integer(source) and pa.types.is_floating(target):
        return bool(source.bit_width < target.bit_width)
    if pa.types.is_nested(source) and pa.types.is_nested(target):
        return bool(storable(source, "") == storable(target, ""))
    return False
