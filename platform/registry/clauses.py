"""One condition as SQL, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, and_, false, func, not_, or_

from .grammar import Condition, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_FOREVER = 1e18  # milliseconds, far beyond both
_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})
Clause = ColumnElement[bool]


def compare_text(column: ColumnElement[Any], condition: Condition, dialect: str) -> Clause:
    """A text column compared with the value of a condition; LIKE heeds capitals, ILIKE does not."""
    value = condition.value
    match condition.comparator:
        case "=":
            return column == value
        case "!=":
            return column != value
        case "IN":
            return column.in_(cast(tuple[str, ...], value))
        case "NOT IN":
            return column.not_in(cast(tuple[str, ...], value))
        case "LIKE" if dialect == "sqlite":  # whose LIKE heeds no capitals
            return column.op("GLOB")(str(value).translate(_GLOB))
        case "LIKE":
            return column.like(str(value), escape="")
        case "ILIKE" if dialect == "sqlite":
            return column.like(str(value))
        case "ILIKE":
            return column.ilike(str(value), escape="")
        case "IS NULL":
            return column.is_(None)
        case "IS NOT NULL":
            return column.is_not(None)
    raise AssertionError(condition)


def compare_number(column: ColumnElement[Any], comparator: str, value: Value) -> Clause:
    """A numeric column compared with a number."""
    return cast(Clause, column.op(comparator, is_comparison=True)(value))


def compare_metric(value: ColumnElement[Any], is_nan: ColumnElement[Any], condition: Condition) -> Clause:
    """A metric compared with a number: NaN differs from every number and compares with none."""
    compared = compare_number(value, condition.comparator, float(cast(float, condition.value)))
    return or_(compared, is_nan) if condition.comparator == "!=" else and_(compared, not_(is_nan))


def compare_moment(column: ColumnElement[Any], comparator: str, value: Value) -> Clause:
    """A time compared with milliseconds since 1970; what it has beyond milliseconds does not count."""
    number = max(min(cast(float, value), _FOREVER), -_FOREVER)
    up, down = math.ceil(number), math.floor(number)
    match comparator:
        case "<":
            return column < _moment(up)
        case "<=":
            return column < _moment(down + 1)
        case ">":
            return column >= _moment(down + 1)
        case ">=":
            return column >= _moment(up)
    within = and_(column >= _moment(down), column < _moment(down + 1)) if up == down else false()
    return within if comparator == "=" else and_(column.is_not(None), not_(within))


def in_order(column: ColumnElement[Any], dialect: str, *, ascending: bool, text: bool) -> ColumnElement[Any]:
    """A column to sort by; texts by their code points on every database."""
    if text and dialect == "postgresql":
        column = func.coalesce(column).collate("C")
    return column.asc() if ascending else column.desc()


def _moment(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST
