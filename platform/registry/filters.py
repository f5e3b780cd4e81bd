"""MLflow's filter language for models: ``name LIKE 'iris%' AND tags.team = 'ops'``.

Conditions are joined by AND. An identifier is an attribute, or ``tags.key``, ``params.key``, ``metrics.key``; keys may
stand in backticks or double quotes. Values are quoted text, numbers, or lists of text after ``IN``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, not_

from ..core import DataError

_SPACE = re.compile(r"\s*")
_AND = re.compile(r"AND\b", re.IGNORECASE)
_KEY = re.compile(r"`([^`]+)`|\"([^\"]+)\"|([\w][\w./-]*)")
_ENTITY = re.compile(r"(\w+)\.")
_COMPARATOR = re.compile(r"(>=|<=|!=|=|>|<|NOT\s+IN\b|IN\b|NOT\s+LIKE\b|I?LIKE\b)", re.IGNORECASE)
_TEXT = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ENTITIES = {
    **dict.fromkeys(("attribute", "attributes", "attr"), "attribute"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("param", "params", "parameter"), "param"),
    **dict.fromkeys(("metric", "metrics"), "metric"),
}
LONGEST = 100_000  # characters of a filter


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. `kind` is ``attribute``, ``tag``, ``param`` or ``metric``; a value is text, a number or texts."""

    kind: str
    key: str
    comparator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Order:
    """One clause of an order: attribute (or ``metrics.key``) and direction."""

    key: str
    ascending: bool


def parse_filter(text: str) -> list[Condition]:
    """Conditions of a filter; none for an empty one.

    Raises:
        DataError: The text breaks the grammar; the message shows where.

    Example:
        >>> parse_filter("name LIKE 'iris%' and tags.`my team` = 'ops'")[1]
        Condition(kind='tag', key='my team', comparator='=', value='ops')
    """
    if len(text) > LONGEST:
        raise DataError(f"Invalid filter of {len(text)} characters: use at most {LONGEST}")
    reader = _Reader(text)
    found: list[Condition] = []
    while not reader.done():
        if found and reader.take(_AND) is None:
            raise reader.error("AND")
        found.append(_condition(reader))
    return found


def parse_order(clauses: Iterable[str], keys: Iterable[str]) -> list[Order]:
    """Clauses such as ``name DESC``.

    Raises:
        DataError: A clause is not ``key [ASC|DESC]`` with one of `keys`, or a key comes twice.

    Example:
        >>> parse_order(["name desc"], ["name"])
        [Order(key='name', ascending=False)]
    """
    allowed, found = tuple(keys), []
    for clause in clauses:
        match = re.fullmatch(r"\s*(?:attributes?\.)?[`\"]?([\w.]+?)[`\"]?(?:\s+(ASC|DESC))?\s*", clause, re.IGNORECASE)
        if match is None or match[1] not in allowed:
            raise DataError(
                f"Invalid order_by clause {clause!r:.200}: use one of {', '.join(allowed)}, then ASC or DESC"
            )
        found.append(Order(match[1], (match[2] or "ASC").upper() == "ASC"))
    if len({order.key for order in found}) < len(found):
        raise DataError(f"order_by contains duplicate fields: {', '.join(order.key for order in found)}")
    return found


def compared(dialect: str, column: Any, comparator: str, value: Any) -> ColumnElement[bool]:
    """SQL of a comparison; ``LIKE`` minds case on both databases, ``ILIKE`` on none.

    Raises:
        DataError: The value does not fit the comparator.
    """
    if comparator in ("IN", "NOT IN"):
        chosen: ColumnElement[bool] = column.in_(value) if comparator == "IN" else column.not_in(value)
        return chosen
    if comparator in ("LIKE", "NOT LIKE"):
        found: ColumnElement[bool] = column.op("GLOB")(_glob(value)) if dialect == "sqlite" else column.like(value)
        return not_(found) if comparator == "NOT LIKE" else found
    if comparator == "ILIKE":
        return func.lower(column).like(func.lower(value))
    operations = {"=": column.__eq__, "!=": column.__ne__}
    operations |= {">": column.__gt__, ">=": column.__ge__, "<": column.__lt__, "<=": column.__le__}
    result: ColumnElement[bool] = operations[comparator](value)
    return result


class _Reader:
    """A text read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """What `pattern` matches here, after spaces."""
        self._skip()
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def literal(self, mark: str) -> bool:
        """Whether `mark` stands here; then it is read."""
        self._skip()
        found = self._text.startswith(mark, self._at)
        self._at += len(mark) if found else 0
        return found

    def done(self) -> bool:
        """Whether nothing is left."""
        self._skip()
        return self._at == len(self._text)

    def error(self, expected: str) -> DataError:
        """The error that shows where reading stopped."""
        rest = self._text[self._at :] or "the end"
        return DataError(f"Invalid filter {self._text!r:.500}: {expected} expected at {rest!r:.100}")

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()


def _condition(reader: _Reader) -> Condition:
    entity = reader.take(_ENTITY)
    kind = "attribute" if entity is None else _ENTITIES.get(entity[1].lower(), "")
    if not kind:
        raise reader.error(f"one of attributes., tags., params., metrics. instead of {entity[0] if entity else ''!r}")
    key = reader.take(_KEY)
    if key is None:
        raise reader.error("an identifier")
    comparator = reader.take(_COMPARATOR)
    if comparator is None:
        raise reader.error("a comparator")
    word = re.sub(r"\s+", " ", comparator[1]).upper()
    value = _texts(reader) if word.endswith("IN") else _value(reader)
    return Condition(kind, key[1] or key[2] or key[3], word, value)


def _value(reader: _Reader) -> str | float | int:
    text = reader.take(_TEXT)
    if text is not None:
        return text[1].replace("''", "'") if text[1] is not None else text[2].replace('""', '"')
    number = reader.take(_NUMBER)
    if number is None:
        raise reader.error("a quoted value or a number")
    return int(number[0]) if number[0].lstrip("+-").isdecimal() else float(number[0])


def _texts(reader: _Reader) -> list[str]:
    if not reader.literal("("):
        raise reader.error("a list in parentheses")
    found = []
    while True:
        text = reader.take(_TEXT)
        if text is None:
            raise reader.error("a quoted value")
        found.append(text[1] if text[1] is not None else text[2])
        if reader.literal(")"):
            return found
        if not reader.literal(","):
            raise reader.error("',' or ')'")


def _glob(pattern: str) -> str:
    """A LIKE pattern as SQLite's GLOB, which minds case."""
    marks = {"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(marks.get(sign, sign) for sign in pattern)
