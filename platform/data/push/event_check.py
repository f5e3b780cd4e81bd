"""Whether an event fits its source: types of the declared schema, values where they are required."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from ...core import InvalidRequest
from ..arrow_types import type_name
from ..source import Source


class EventCheck:
    """Checks events one by one, quickly.

    Without a declared schema every JSON object is accepted (its types are discovered at the first ingest), as long as
    it has the key.

    Example:
        >>> from raylake.data import PushLog
        >>> check = EventCheck(Source("clicks", PushLog("x"), schema={"id": "string", "n": "int64"}, key=["id"]))
        >>> check({"id": "a", "n": "seven"}, 0)
        Traceback (most recent call last):
        ...
        raylake.core.errors.InvalidRequest: event 0: field 'n' is 'seven', expected int64
    """

    def __init__(self, source: Source) -> None:
        declared = source.declared
        rules = [rule for rule in source.rules if rule.rule == "not_null"]
        self._needed = tuple(dict.fromkeys([*source.key, *(rule.columns[0] for rule in rules)]))
        self._types = None if declared is None else {entry.name: entry.type for entry in declared}
        self._checks = {} if declared is None else {entry.name: _check_of(entry.type) for entry in declared}
        self._strict = declared is not None and source.schema_mode == "enforce"

    def __call__(self, event: Any, row: int) -> None:
        """Raise `InvalidRequest` with field and row unless the event fits."""
        if not isinstance(event, Mapping):
            raise InvalidRequest(f"event {row}: expected a JSON object, found {str(event)[:80]!r}", row=row)
        for name, value in event.items():
            check = self._checks.get(name)
            if check is None:
                if self._strict:
                    raise InvalidRequest(
                        f"event {row}: unknown field {name!r}; fields are {', '.join(self._checks)}",
                        field=name,
                        row=row,
                    )
            elif value is not None and not check(value):
                assert self._types is not None
                raise InvalidRequest(
                    f"event {row}: field {name!r} is {_shown(value)}, expected {type_name(self._types[name])}",
                    field=name,
                    row=row,
                )
        for name in self._needed:
            if event.get(name) is None:
                raise InvalidRequest(f"event {row}: field {name!r} is missing", field=name, row=row)


def _check_of(dtype: pa.DataType) -> Callable[[Any], bool]:
    if pa.types.is_boolean(dtype):
        return lambda value: isinstance(value, bool)
    if pa.types.is_integer(dtype):
        limit = 2 ** (dtype.bit_width - 1)
        return lambda value: type(value) is int and -limit <= value < limit
    if pa.types.is_floating(dtype):
        return lambda value: type(value) in (int, float)
    if pa.types.is_timestamp(dtype):
        return lambda value: isinstance(value, str) and _reads(datetime.fromisoformat, value)
    if pa.types.is_date(dtype):
        return lambda value: isinstance(value, str) and _reads(date.fromisoformat, value)
    return lambda value: isinstance(value, str)


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
