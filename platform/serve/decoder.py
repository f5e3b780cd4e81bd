"""Requests: JSON bytes to checked columns, by a decoder that is compiled once from a model's fields.

No pydantic, and no work per value on the usual path: a column whose values all have the exact type is taken as
it is. Only when something does not fit are the values looked at one by one, to name the field and the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from ..core import InvalidRequest
from .fields import Field

MAX_ROWS = 10_000
MAX_ID = 256
_TOP_LEVEL = frozenset({"rows", "columns", "ids", "features"})
_SHAPE = 'send {"rows": [{...}, ...]} or {"columns": {...}}'


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded request.

    Attributes:
        columns: Values by field, all of one length. Fields that were not sent are not there.
        rows: Number of rows.
        ids: The client's id of each row, or ``None``.
        features: Whether the client wants the model's inputs in the answer.
    """

    columns: Mapping[str, list[Any]]
    rows: int
    ids: tuple[str, ...] | None = None
    features: bool = False


class Decoder:
    """Checks and decodes requests for one list of fields. Thread-safe: nothing changes after it is built.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.serve.fields import Field, kind_of
        >>> number, text = kind_of(pa.float64()), kind_of(pa.string())
        >>> decoder = Decoder([Field("distance", number), Field("origin", text)])
        >>> decoder.decode(b'{"rows": [{"distance": 1400, "origin": "JFK"}]}').columns
        {'distance': [1400.0], 'origin': ['JFK']}
        >>> decoder.decode(b'{"rows": [{"distance": "far", "origin": "JFK"}]}')
        Traceback (most recent call last):
        ...
        raylake.core.errors.InvalidRequest: field 'distance' of row 0 is "far": send a finite number
    """

    def __init__(self, fields: Sequence[Field], *, max_rows: int = MAX_ROWS) -> None:
        """Compile the decoder of `fields`; requests may have 1 to `max_rows` rows."""
        self.fields = tuple(fields)
        self.max_rows = max_rows
        self._by_name = {field.name: field for field in fields}
        self._known = frozenset(self._by_name)
        self._required = tuple(field for field in fields if field.required)
        self._required_names = frozenset(field.name for field in self._required)
        self._optional = tuple(field for field in fields if not field.required)

    def decode(self, body: bytes) -> Request:
        """Check and decode a request's body.

        Raises:
            InvalidRequest: Not JSON, not of the expected shape, or a field is missing, unknown, of a wrong
                type, or null where that is not allowed. `field` and `row` say where.
        """
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"the body is not JSON ({error}): {_SHAPE}") from error
        if type(found) is not dict:
            raise InvalidRequest(f"the body is {_show(found)}, not an object: {_SHAPE}")
        extra = found.keys() - _TOP_LEVEL
        if extra:
            name = min(extra)
            raise InvalidRequest(
                f"the request has an unknown part {name!r}: {_SHAPE}, with 'ids' if wanted", field=name
            )
        if ("rows" in found) == ("columns" in found):
            raise InvalidRequest(f"the request needs exactly one of 'rows' and 'columns': {_SHAPE}")
        columns, rows = self._of_rows(found["rows"]) if "rows" in found else self._of_columns(found["columns"])
        checked = {name: self._check(self._by_name[name], values) for name, values in columns.items()}
        wanted = found.get("features", False)
        if type(wanted) is not bool:
            raise InvalidRequest(f"'features' is {_show(wanted)}: send true or false", field="features")
        return Request(checked, rows, _ids(found.get("ids"), rows), wanted)

    def table(self, columns: Mapping[str, list[Any]]) -> pa.Table:
        """Checked columns as an Arrow table of the fields' types."""
        names = [field.name for field in self.fields if field.name in columns]
        arrays = [pa.array(columns[name], self._by_name[name].kind.arrow) for name in names]
        return pa.Table.from_arrays(arrays, names=names)

    def _of_rows(self, rows: Any) -> tuple[dict[str, list[Any]], int]:
        if type(rows) is not list:
            raise InvalidRequest(f"'rows' is {_show(rows)}, not a list: {_SHAPE}", field="rows")
        self._check_count(len(rows))
        sent: set[str] = set()
        for index, row in enumerate(rows):
            if type(row) is not dict:
                raise InvalidRequest(f"row {index} is {_show(row)}, not an object: {_SHAPE}", row=index)
            names = row.keys()
            if not names <= self._known:
                raise self._unknown(min(names - self._known), index)
            if not names >= self._required_names:
                raise self._missing(self._required_names - names, index)
            sent.update(names)
        columns = {field.name: [row[field.name] for row in rows] for field in self._required}
        if len(sent) > len(columns):
            # A feature that is not sent for a row is null there, and so looked up.
            optional = (field.name for field in self._optional if field.name in sent)
            columns.update({name: [row.get(name) for row in rows] for name in optional})
        return columns, len(rows)

    def _of_columns(self, columns: Any) -> tuple[dict[str, list[Any]], int]:
        if type(columns) is not dict:
            raise InvalidRequest(f"'columns' is {_show(columns)}, not an object: {_SHAPE}", field="columns")
        names = columns.keys()
        if not names <= self._known:
            raise self._unknown(min(names - self._known), None)
        if not names >= self._required_names:
            raise self._missing(self._required_names - names, None)
        rows = None
        for name, values in columns.items():
            if type(values) is not list:
                raise InvalidRequest(f"column {name!r} is {_show(values)}, not a list", field=name)
            rows = len(values) if rows is None else rows
            if len(values) != rows:
                raise InvalidRequest(f"column {name!r} has {len(values)} values and others have {rows}", field=name)
        self._check_count(rows or 0)
        return {field.name: columns[field.name] for field in self.fields if field.name in names}, rows or 0

    def _check(self, field: Field, values: list[Any]) -> list[Any]:
        kind = field.kind
        if frozenset(map(type, values)) <= kind.exact and kind.safe(values):
            return values
        convert, nullable = kind.convert, field.nullable
        out: list[Any] = []
        for index, value in enumerate(values):
            if value is None:
                if not nullable:
                    raise InvalidRequest(
                        f"field {field.name!r} of row {index} is null: send {kind.expected}",
                        field=field.name,
                        row=index,
                    )
                out.append(None)
                continue
            try:
                out.append(convert(value))
            except (ValueError, OverflowError) as error:
                raise InvalidRequest(
                    f"field {field.name!r} of row {index} is {_show(value)}: send {kind.expected}",
                    field=field.name,
                    row=index,
                ) from error
        return out

    def _check_count(self, rows: int) -> None:
        if not 1 <= rows <= self.max_rows:
            raise InvalidRequest(f"the request has {rows} rows: send 1 to {self.max_rows}", field="rows")

    def _unknown(self, name: str, row: int | None) -> InvalidRequest:
        where = "" if row is None else f" of row {row}"
        known = ", ".join(field.name for field in self.fields)
        return InvalidRequest(f"field {name!r}{where} is unknown; the fields are {known}", field=name, row=row)

    def _missing(self, names: frozenset[str], row: int | None) -> InvalidRequest:
        first = next(field for field in self._required if field.name in names)
        where = "" if row is None else f" in row {row}"
        return InvalidRequest(
            f"field {first.name!r} is missing{where}: send {first.kind.expected}", field=first.name, row=row
        )


def _ids(ids: Any, rows: int) -> tuple[str, ...] | None:
    if ids is None:
        return None
    if type(ids) is not list or len(ids) != rows:
        found = f"{len(ids)} ids" if type(ids) is list else _show(ids)
        raise InvalidRequest(f"'ids' is {found}: send a list with one string for each of the {rows} rows", field="ids")
    for index, value in enumerate(ids):
        if type(value) is not str or not 0 < len(value) <= MAX_ID:
            raise InvalidRequest(
                f"id {index} is {_show(value)}: send a string of 1 to {MAX_ID} characters",
                field="ids",
                row=index,
            )
    if len(set(ids)) != rows:
        double = next(value for index, value in enumerate(ids) if value in ids[:index])
        raise InvalidRequest(f"id {double!r} is there twice: ids must be unique", field="ids")
    return tuple(ids)


def _show(value: Any) -> str:
    text = orjson.dumps(value).decode(errors="replace")
    return text if len(text) <= 60 else f"{text[:57]}..."
