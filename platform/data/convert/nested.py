"""Nested JSON and structs to flat columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from ...core import SchemaMismatch
from ..records import table_of


def flatten(table: pa.Table, *, columns: Sequence[str] = (), separator: str = "_", depth: int = 5) -> pa.Table:
    """Make a column of every field of nested objects; a `Source.transform` for JSON.

    Lists stay as JSON text (`explode` makes rows of them). A cell that holds no object keeps its text in a column of
    the old name, so that nothing is lost.

    Args:
        table: Struct columns, and text columns that hold JSON objects.
        columns: The columns to flatten; by default every struct, and every text column whose values that are
            not null all start with ``{``.
        separator: Stands between the names: ``address_city``.
        depth: Objects deeper than this stay as JSON text.

    Raises:
        SchemaMismatch: A column does not exist, or a new column's name is taken.

    Example:
        >>> flatten(pa.table({"id": [1], "at": ['{"lat": 1.5, "place": {"city": "Oslo"}}']})).to_pylist()
        [{'id': 1, 'at_lat': 1.5, 'at_place_city': 'Oslo'}]
    """
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise SchemaMismatch(f"there are no columns {missing} to flatten; columns: {table.column_names}")
    chosen = set(columns) or {name for name in table.column_names if _holds_objects(table.column(name))}
    result: dict[str, Any] = {}
    for name in table.column_names:
        parts = {name: table.column(name)}
        if name in chosen:
            cells = [_open(name, value, separator, depth) for value in table.column(name).to_pylist()]
            opened = table_of(cells)
            parts = dict(zip(opened.column_names, opened.columns, strict=True))
        taken = sorted(set(parts) & set(result) | (set(parts) - {name}) & set(table.column_names))
        if taken:
            raise SchemaMismatch(f"flattening {name!r} would make columns {taken} twice: use another separator")
        result.update(parts)
    return pa.table(result)


def explode(table: pa.Table, column: str) -> pa.Table:
    """A row for every element of a list (an Arrow list, or JSON text of one); rows with an empty list vanish.

    Raises:
        SchemaMismatch: The column does not exist, or a cell holds no list.

    Example:
        >>> explode(pa.table({"id": [1, 2], "tags": ['["a", "b"]', None]}), "tags").to_pylist()
        [{'id': 1, 'tags': 'a'}, {'id': 1, 'tags': 'b'}]
    """
    if column not in table.column_names:
        raise SchemaMismatch(f"there is no column {column!r} to explode; columns: {table.column_names}")
    rows, values = [], []
    for number, cell in enumerate(table.column(column).to_pylist()):
        parts = _parsed(cell) if isinstance(cell, str) else cell
        if parts is None:
            continue
        if not isinstance(parts, list):
            raise SchemaMismatch(f"column {column!r} holds {str(cell)[:80]!r}, which is no list")
        rows += [number] * len(parts)
        values += parts
    rest = table.drop_columns([column]).take(pa.array(rows, pa.int64()))
    return rest.append_column(column, table_of([{column: value} for value in values], [column]).column(column))


def _holds_objects(column: pa.ChunkedArray) -> bool:
    if pa.types.is_struct(column.type):
        return True
    if not pa.types.is_string(column.type):
        return False
    values = column.drop_null()
    return len(values) > 0 and all(isinstance(_parsed(text), dict) for text in values.to_pylist())


def _open(name: str, value: Any, separator: str, depth: int) -> dict[str, Any]:
    inner = _parsed(value) if isinstance(value, str) else value
    if value is None:
        return {}
    if not isinstance(inner, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for key, part in inner.items():
        label = f"{name}{separator}{key}"
        found.update(
            _open(label, part, separator, depth - 1) if isinstance(part, Mapping) and depth > 1 else {label: part}
        )
    return found


def _parsed(text: str) -> Any:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
