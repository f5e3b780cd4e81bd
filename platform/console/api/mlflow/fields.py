"""What a request may hold, and the check that it does: types and presence, as MLflow's server checks them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from ....core import DataError
from .errors import invalid_parameter

_HINT = "See the API docs for more information about request parameters."
_LONG = 2**63
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request.

    Attributes:
        name: Its name in JSON or in the query.
        kind: ``string``, ``integer``, ``number``, ``boolean``, ``array`` or ``object``.
        required: Whether a request without it (or with an empty text) is refused.
        alias: An older name that is read when `name` is absent.
    """

    name: str
    kind: str = "string"
    required: bool = False
    alias: str = ""


def checked(fields: Iterable[Field], found: dict[str, Any]) -> dict[str, Any]:
    """`found` with every declared field in its type; ``null`` counts as absent, unknown fields stay.

    Raises:
        DataError: A field is missing or has another type.

    Example:
        >>> checked([Field("step", "integer"), Field("run_id", alias="run_uuid")], {"step": "3", "run_uuid": "a"})
        {'step': 3, 'run_uuid': 'a', 'run_id': 'a'}
    """
    for field in fields:
        value = found.get(field.name)
        if value is None and field.alias:
            value = found.get(field.alias)
        if value is None:
            found.pop(field.name, None)
        else:
            found[field.name] = value = typed(field.kind, field.name, value)
        if field.required and (value is None or value == ""):
            raise invalid_parameter(f"Missing value for required parameter '{field.name}'. {_HINT}")
    return found


def typed(kind: str, name: str, value: Any) -> Any:
    """`value` as `kind`: integers and numbers may come as text, as protobuf's JSON allows.

    Raises:
        DataError: It has another type, or does not fit 64 bits.

    Example:
        >>> typed("number", "value", "NaN"), typed("integer", "step", "7")
        (nan, 7)
    """
    if kind == "string":
        if isinstance(value, str):
            return value
    elif kind == "integer":
        return _integer(name, value)
    elif kind == "number":
        return _number(name, value)
    elif kind == "boolean":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in _BOOLEANS:
            return _BOOLEANS[value.lower()]
    elif isinstance(value, list if kind == "array" else dict):
        return value
    raise invalid_value(name, value)


def invalid_value(name: str, value: Any, hint: str = "") -> DataError:
    """The error of a value that a field cannot hold."""
    shown = orjson.dumps(value, default=str).decode()
    hint = hint or f"Hint: Value was of type '{type(value).__name__}'. {_HINT}"
    return invalid_parameter(f"Invalid value {shown:.500} for parameter '{name}' supplied: {hint}")


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise invalid_value(name, value)
    try:
        whole = int(value)
    except (ValueError, OverflowError) as error:
        raise invalid_value(name, value) from error
    if (isinstance(value, float) and whole != value) or not -_LONG <= whole < _LONG:
        raise invalid_value(name, value)
    return whole


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float, str)):
        raise invalid_value(name, value)
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise invalid_value(name, value) from error
