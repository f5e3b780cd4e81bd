"""Records without a header (JSON objects, rows of a driver) as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

import orjson
import pyarrow as pa

from ..core import SourceError
from .connector import RawBatch

T = TypeVar("T")
BATCH_ROWS = 16_384
_DECIMAL = pa.decimal128(38, 10)


def grouped(items: Iterable[T], size: int = BATCH_ROWS) -> Iterator[list[T]]:
    """The items in lists of at most `size`.

    Example:
        >>> list(grouped("abc", 2))
        [['a', 'b'], ['c']]
    """
    waiting = iter(items)
    while part := list(islice(waiting, size)):
        yield part


def table_of(records: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> pa.Table:
    """Records as a table whose columns are the union of their fields.

    Numbers, truth values, times and bytes keep their type when a whole column has one type; mixed columns become
    text, which the `Source` types later, so that a single odd cell goes to quarantine alone. Nested values become JSON
    text (`raylake.data.convert.flatten` makes columns of them). Fields that are null throughout are text.

    Example:
        >>> table_of([{"a": 1}, {"a": "x", "b": {"c": [1]}}]).to_pydict()
        {'a': ['1', 'x'], 'b': [None, '{"c":[1]}']}
    """
    found = dict.fromkeys(names)
    for record in records:
        found.update(dict.fromkeys(record))
    columns = {str(name): column_of([record.get(name) for record in records]) for name in found}
    return pa.table(columns) if columns else pa.table({})


def column_of(values: list[Any]) -> pa.Array:
    """The values as one column of their own type, or of text when they have several."""
    kinds = {type(value) for value in values}
    kinds.discard(type(None))
    if not kinds:
        return pa.nulls(len(values), pa.string())
    if kinds <= {str} or kinds & {dict, list, tuple, UUID, time, timedelta}:
        return pa.array([_text(value) for value in values], pa.string())
    dtype = _DECIMAL if kinds == {Decimal} else None
    if kinds == {datetime}:
        dtype = pa.timestamp("us", tz="UTC" if any(value and value.tzinfo for value in values) else None)
    try:
        if bool in kinds and len(kinds) > 1:
            raise pa.ArrowInvalid("mixed")
        return pa.array(values, dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
        return pa.array([_text(value) for value in values], pa.string())


def parsed(
    texts: Iterable[bytes | str], *, longest: int = 100_000
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """JSON texts as (objects, broken): what is not a JSON object is handed on with the reason.

    Example:
        >>> parsed([b'{"a": 1}', b"[1]", b"{"])[0]
        [{'a': 1}]
    """
    objects, broken = [], []
    for text in texts:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            broken.append((f"not JSON: {error}", _shown(text, longest)))
            continue
        if isinstance(value, dict):
            objects.append(value)
        else:
            broken.append((f"a JSON {type(value).__name__} where an object was expected", _shown(text, longest)))
    return objects, broken


def json_batch(texts: Iterable[bytes | str]) -> RawBatch:
    """JSON texts as a batch."""
    objects, broken = parsed(texts)
    return RawBatch(table_of(objects), tuple(broken))


def dig(value: Any, path: str, what: str) -> Any:
    """The value at a dotted path in nested objects; ``""`` is the value itself.

    Raises:
        SourceError: There is no such field; the message names those that exist.

    Example:
        >>> dig({"data": {"items": [1]}}, "data.items", "the answer")
        [1]
    """
    for part in path.split(".") if path else ():
        if not isinstance(value, Mapping) or part not in value:
            there = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
            raise SourceError(f"{what} has no field {part!r} of {path!r}; there is {there}: correct the path")
        value = value[part]
    return value


def _shown(text: bytes | str, longest: int) -> str:
    whole = text.decode(errors="replace") if isinstance(text, bytes) else text
    return whole[:longest]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple | bool):
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)
