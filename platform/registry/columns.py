"""Column types that hold the same values on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

from sqlalchemy import BigInteger, Double, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from ..core import DataError, Node, Ref

# SQLite gives rising row ids to INTEGER only.
Sequence = BigInteger().with_variant(Integer(), "sqlite")


class CleanText(TypeDecorator[str]):
    """Text. NUL and unpaired surrogates, which one of the databases refuses, become U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else clean(value)


class Json(TypeDecorator[Any]):
    """JSON as text. PostgreSQL's own JSON type would refuse the NaN of an AUC that could not be computed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode; `plain` has made the value encodable."""
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decode."""
        return None if value is None else json.loads(value)


class Real(TypeDecorator[float]):
    """A 64-bit float. SQLite keeps no NaN, so NULL stands for NaN on both."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """NaN to NULL."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """NULL to NaN."""
        return math.nan if value is None else value


def clean(text: str) -> str:
    """`text` without NUL and unpaired surrogates, each replaced by U+FFFD.

    Example:
        >>> clean("a" + chr(0) + "b") == "a" + chr(0xFFFD) + "b"
        True
    """
    if text.isascii() and "\0" not in text:  # nearly always
        return text
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A copy of `values` made of plain JSON types: numpy scalars, dates, paths and references are converted.

    Raises:
        DataError: A value has no JSON form; the message names its key.

    Example:
        >>> plain({"window": (1, 2)}, "params")
        {'window': [1, 2]}
    """
    found = {}
    for key, value in values.items():
        try:
            found[str(key)] = json.loads(json.dumps(value, default=_convert))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{what}[{key!r}] = {value!r:.200} cannot be recorded: {error}. "
                "Use text, numbers, booleans, lists and mappings"
            ) from error
    return found


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """A copy of `metrics` with every value as a Python float (NaN and infinities included).

    Raises:
        DataError: A value is not a number; the message names its key.

    Example:
        >>> numbers({"auc": 1})
        {'auc': 1.0}
    """
    found = {}
    for key, value in metrics.items():
        try:
            found[str(key)] = float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"metric {key!r} = {value!r:.200} is not a number: log a float") from error
    return found


def _convert(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (PurePath, Node, Ref)):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"type {type(value).__name__} has no JSON form")
