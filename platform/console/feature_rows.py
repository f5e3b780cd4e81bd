"""Columns of JSON values, as Feast's clients send them, as rows of tables and views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from ..core import InvalidRequest, Ref, Workspace
from ..data.delta_log import arrow_schema, require
from ..features import FeatureView, compute_values

_EVENT, _CREATED = "event_timestamp", "created"  # what Feast calls the times


def rows_of_table(ws: Workspace, table: Ref, frame: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Rows with the columns and types of a table.

    Raises:
        NotFound: There is no such table.
        InvalidRequest: A column is unknown, missing or of another type; `field` names it.
    """
    schema = arrow_schema(require(ws, table))
    unknown = [name for name in frame if name not in schema.names]
    if unknown:
        raise InvalidRequest(
            f"table {table} has no column {unknown[0]!r:.200}; it has {', '.join(schema.names)}", field="df"
        )
    return _typed(frame, [field for field in schema if field.name in frame])


def rows_of_view(view: FeatureView, frame: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Values of a view without window and transform, from rows of its table."""
    return compute_values(view, _typed(frame, view.schema))


def values_of(view: FeatureView, frame: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Values of a view with Feast's names of the times; features that are not given are null."""
    given = dict(frame)
    rows = max((len(values) for values in given.values()), default=0)
    for name, theirs in zip(view.time_columns, (_EVENT, _CREATED), strict=False):
        given.setdefault(name, given.get(theirs, [None] * rows))
    for name in view.feature_columns:
        given.setdefault(name, [None] * rows)
    return _typed(given, view.schema)


def rows_of_request(frame: Mapping[str, list[Any]]) -> pa.Table:
    """Columns of JSON values as a table.

    Raises:
        InvalidRequest: A column mixes types.
    """
    columns = {}
    for name, values in frame.items():
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise InvalidRequest(f"column {name!r} cannot be read: {error}", field=name) from error
    return pa.table(columns)


def _typed(frame: Mapping[str, Sequence[Any]], fields: Sequence[pa.Field] | pa.Schema) -> pa.Table:
    lengths = {name: len(values) for name, values in frame.items()}
    if len(set(lengths.values())) != 1:
        raise InvalidRequest(f"the columns of df must have as many values each, not {lengths}", field="df")
    columns = {}
    for field in fields:
        if field.name not in frame:
            raise InvalidRequest(f"column {field.name!r} is missing; given: {', '.join(frame)}", field=field.name)
        columns[field.name] = _column(field.name, frame[field.name], field.type)
    return pa.table(columns)


def _column(name: str, values: Sequence[Any], dtype: pa.DataType) -> pa.Array:
    try:
        if pa.types.is_timestamp(dtype):
            values = [None if value is None else _moment(value) for value in values]
        return pa.array(values, dtype)
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        ValueError,
        TypeError,
    ) as error:
        raise InvalidRequest(f"column {name!r} cannot be {dtype}: {error}", field=name) from error


def _moment(value: Any) -> datetime:
    """ISO 8601, without a zone UTC; numbers are seconds since 1970, as in Feast."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r:.100} is not a moment")
    if isinstance(value, str):
        found = datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return datetime.fromtimestamp(value, UTC)
    except OSError as error:
        raise ValueError(f"{value!r} is out of range") from error
