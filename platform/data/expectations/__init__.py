"""Expectations: declared rules on data, what happens to rows that break them, and reports on whole versions."""

from .rules import (
    Expectation,
    OnFail,
    between,
    holds,
    matches,
    not_null,
    one_of,
    refers_to,
    satisfies,
)
from .whole import at_least_rows, fresh, rows_between, similar, unique

__all__ = [
    "Expectation",
    "OnFail",
    "at_least_rows",
    "between",
    "fresh",
    "holds",
    "matches",
    "not_null",
    "one_of",
    "refers_to",
    "rows_between",
    "satisfies",
    "similar",
    "unique",
]
