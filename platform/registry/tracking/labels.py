"""Parameters and tags on their way into rows and back: text as it is, any other value as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ...core import DataError
from ..columns import clean, plain

Label = tuple[str, str, bool]  # key, text, whether the text is JSON


def packed(values: Mapping[str, Any], what: str) -> list[Label]:
    """Rows of `values`. Text that a database would refuse is kept as JSON, which escapes it.

    Raises:
        DataError: A value has no JSON form; the message names its key.

    Example:
        >>> packed({"depth": 6, "by": "me"}, "params")
        [('depth', '6', True), ('by', 'me', False)]
    """
    return [_pack(key, value) for key, value in plain(values, what).items()]


def unpacked(labels: Iterable[Label]) -> dict[str, Any]:
    """The values back.

    Example:
        >>> unpacked([("depth", "6", True), ("by", "me", False)])
        {'depth': 6, 'by': 'me'}
    """
    return {key: json.loads(text) if typed else text for key, text, typed in labels}


def same_value(one: tuple[str, bool], other: tuple[str, bool]) -> bool:
    """Whether two packed values are one; a client that knows text only may send a typed value as text again."""
    return one[0] == other[0]


def refuse_change(run_id: str, key: str, old: str, new: str) -> DataError:
    """The error of a parameter that was logged with another value."""
    return DataError(
        f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' "
        f"for run ID='{run_id}'. Attempted logging new value '{new}'. Log it under another key, or start a new run"
    )


def _pack(key: str, value: Any) -> Label:
    if isinstance(value, str) and clean(value) == value:
        return clean(key), value, False
    return clean(key), json.dumps(value), True
