"""The fields of a request: what a model's signature and feature set demand of a client."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

INSTANT = pa.timestamp("us", tz="UTC")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Kind:
    """How one type of column is taken from JSON.

    Attributes:
        name: Name in messages and in OpenAPI.
        arrow: The Arrow type it becomes.
        exact: Python types that need no conversion (after `safe` holds for the column).
        safe: Whether a column of exact values is acceptable as it stands.
        convert: One value to the Arrow type's Python value; raises ValueError when it does not fit.
        expected: What to write, for messages.
        json_schema: Its JSON schema.
        example: A plain value, where the training data has none to show.
    """

    name: str
    arrow: pa.DataType
    exact: frozenset[type]
    safe: Callable[[list[Any]], bool]
    convert: Callable[[Any], Any]
    expected: str
    json_schema: Mapping[str, str]
    example: Any = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request row.

    Attributes:
        name: Name.
        kind: Type.
        required: Whether each row must have it.
        nullable: Whether null is allowed.
        role: ``key``, ``time``, ``input`` or ``override`` (a feature that would be looked up otherwise).
    """

    name: str
    kind: Kind
    required: bool = True
    nullable: bool = False
    role: str = "input"


def kind_of(dtype: pa.DataType) -> Kind:
    """The JSON kind of an Arrow type.

    Raises:
        ValueError: The type has no form in a request.

    Example:
        >>> kind_of(pa.int32()).name, kind_of(pa.timestamp("ns", tz="UTC")).name
        ('integer', 'timestamp')
    """
    if pa.types.is_boolean(dtype):
        return BOOLEAN
    if pa.types.is_integer(dtype):
        return INTEGER
    if pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return NUMBER
    if pa.types.is_timestamp(dtype):
        return TIMESTAMP
    if pa.types.is_date(dtype):
        return DATE
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_dictionary(dtype):
        return STRING
    raise ValueError(f"a column of type {dtype} has no form in a JSON request")


def _integer(value: Any) -> int:
    # 3.0 is how several clients write a whole number; beyond 2**53 a float is no longer exact. True is a mistake.
    if type(value) is float and value.is_integer() and abs(value) <= 2**53:
        value = int(value)
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    raise ValueError


def _number(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise ValueError


def _exactly(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise ValueError

    return convert


def _moment(value: Any) -> datetime:
    if type(value) is not str or len(value) < 16:
        raise ValueError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError from error


def _date(value: Any) -> date:
    if type(value) is not str:
        raise ValueError
    return date.fromisoformat(value)


def _whole(values: list[Any]) -> bool:
    return not values or (min(values) >= -_INT64 and max(values) < _INT64)


def _always(values: list[Any]) -> bool:
    return True


def _never(values: list[Any]) -> bool:
    return False


INTEGER = Kind(
    "integer",
    pa.int64(),
    frozenset({int}),
    _whole,
    _integer,
    "a 64-bit integer",
    MappingProxyType({"type": "integer"}),
    1,
)
# orjson refuses NaN and numbers beyond float64, so a float that arrives here is finite.
NUMBER = Kind(
    "number",
    pa.float64(),
    frozenset({float}),
    _always,
    _number,
    "a finite number",
    MappingProxyType({"type": "number"}),
    1.0,
)
STRING = Kind(
    "string",
    pa.string(),
    frozenset({str}),
    _always,
    _exactly(str),
    "a string",
    MappingProxyType({"type": "string"}),
    "a",
)
BOOLEAN = Kind(
    "boolean",
    pa.bool_(),
    frozenset({bool}),
    _always,
    _exactly(bool),
    "true or false",
    MappingProxyType({"type": "boolean"}),
    True,
)
TIMESTAMP = Kind(
    "timestamp",
    INSTANT,
    frozenset(),
    _never,
    _moment,
    "an ISO 8601 moment with its zone, such as 2013-07-01T05:15:00Z",
    MappingProxyType({"type": "string", "format": "date-time"}),
    datetime(2013, 7, 1, 9, 15, tzinfo=UTC),
)
DATE = Kind(
    "date",
    pa.date32(),
    frozenset(),
    _never,
    _date,
    "an ISO 8601 date, such as 2013-07-01",
    MappingProxyType({"type": "string", "format": "date"}),
    date(2013, 7, 1),
)
