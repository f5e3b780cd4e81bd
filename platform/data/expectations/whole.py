"""Expectations about all rows together: how many, how fresh, how they are distributed."""

from __future__ import annotations

from ...core import ConfigError, duration
from .rules import Expectation, OnFail


def unique(*columns: str, on_fail: OnFail = "quarantine") -> Expectation:
    """No two rows of the table have the same values in `columns`; of equal rows the first is kept.

    In append mode rows are compared with those already in the table. Rows with a null among `columns` pass. The key
    columns are read into this process.

    Example:
        >>> unique("flight_id").name
        'unique(flight_id)'
    """
    if not columns:
        raise ConfigError("unique() needs at least one column")
    return Expectation("unique", columns, (), on_fail)


def at_least_rows(rows: int, *, on_fail: OnFail = "fail") -> Expectation:
    """An ingest that reads anything new accepts at least `rows` rows.

    Args:
        rows: The least number of rows.
        on_fail: ``fail`` or ``warn``.

    Example:
        >>> at_least_rows(1000).name
        'at_least_rows(1000)'
    """
    return Expectation("at_least_rows", (), (rows,), _no_row(on_fail, "at_least_rows"))


def rows_between(low: int, high: int, *, on_fail: OnFail = "fail") -> Expectation:
    """An ingest that reads anything new accepts between `low` and `high` rows; a checked table has so many.

    Example:
        >>> rows_between(1000, 2000).name
        'rows_between(1000, 2000)'
    """
    if low > high:
        raise ConfigError(f"rows_between({low}, {high}) holds for no number: give the smaller one first")
    return Expectation("rows_between", (), (low, high), _no_row(on_fail, "rows_between"))


def fresh(column: str, within: str, *, on_fail: OnFail = "warn") -> Expectation:
    """The newest time in `column` is at most `within` old when it is checked.

    Args:
        column: A timestamp or date.
        within: Such as ``"90s"``, ``"30m"``, ``"2h"``, ``"1d"``.
        on_fail: ``fail`` or ``warn``.

    Example:
        >>> fresh("observed_at", "2h").name
        'fresh(observed_at, 2h)'
    """
    duration(within, f"fresh({column}) within")
    return Expectation("fresh", (column,), (within,), _no_row(on_fail, "fresh"))


def similar(column: str, *, most: float = 0.25, on_fail: OnFail = "warn") -> Expectation:
    """The values of a batch are distributed as those of the table before it (a checked version: as the one before).

    Args:
        column: A number, time, boolean or text.
        most: Greatest population stability index that passes; 0.1 is a moderate shift and 0.25 a large one.
        on_fail: ``fail`` or ``warn``.

    Example:
        >>> similar("delay", most=0.1).name
        'similar(delay, 0.1)'
    """
    if not most > 0:
        raise ConfigError(f"similar({column}) with most={most} would never pass: use a number above 0, such as 0.25")
    return Expectation("similar", (column,), (most,), _no_row(on_fail, "similar"))


def _no_row(on_fail: OnFail, rule: str) -> OnFail:
    if on_fail not in ("fail", "warn"):
        raise ConfigError(f"{rule} cannot {on_fail!r}: no single row is to blame; use on_fail='fail' or 'warn'")
    return on_fail
