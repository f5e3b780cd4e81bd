"""Expectations about all rows of a batch, checked by the driver on the files that tasks wrote, before the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..core import Ref, SchemaMismatch, Workspace, duration
from .expectations import Expectation
from .summary import ColumnSummary, stability, summarise_column

Reader = Callable[[str], Iterable[pa.Table]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule about all rows found.

    Attributes:
        checked: Rows that it looked at.
        failed: 0 when it holds; otherwise how many rows are too few or too many, or all of them.
        detail: What was found, in words; ``""`` when there is nothing to say.
    """

    checked: int
    failed: int
    detail: str = ""


def row_count(rule: Expectation, rows: int) -> Outcome:
    """`at_least_rows` and `rows_between`.

    Example:
        >>> from .expectations import rows_between
        >>> row_count(rows_between(10, 20), 25)
        Outcome(checked=25, failed=5, detail='5 rows too many')
    """
    low = rule.arguments[0]
    high = rule.arguments[1] if rule.rule == "rows_between" else rows
    if rows < low:
        return Outcome(rows, low - rows, f"{low - rows} rows too few")
    return Outcome(rows, max(0, rows - high), f"{rows - high} rows too many" if rows > high else "")


def freshness(rule: Expectation, newest: Any, rows: int, now: datetime | None = None) -> Outcome:
    """`fresh`, given the newest value of its column (``None`` when there is none)."""
    moment = now or datetime.now(UTC)
    if newest is None:
        return Outcome(rows, rows, f"{rule.columns[0]} has no value") if rows else Outcome(0, 0)
    at = newest if isinstance(newest, datetime) else datetime(newest.year, newest.month, newest.day, tzinfo=UTC)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    late = moment - at > duration(rule.arguments[0])
    age = str(moment - at).partition(".")[0]
    return Outcome(rows, rows, f"the newest {rule.columns[0]} is {age} old") if late else Outcome(rows, 0)


def similarity(rule: Expectation, before: ColumnSummary | None, after: ColumnSummary) -> Outcome:
    """`similar`, given the column before and after; without anything before, it holds."""
    if before is None or not before.rows or not after.rows:
        return Outcome(after.rows, 0)
    index, most = stability(before, after), rule.arguments[0]
    far = index > most  # NaN, when there is nothing to compare, is not
    detail = f"stability index {index:.3f} is above {most:g}" if far else ""
    return Outcome(after.rows, after.rows if far else 0, detail)


def newest(parts: Iterable[pa.Table], column: str) -> Any:
    """The greatest value of a time column in the parts, or ``None``.

    Raises:
        SchemaMismatch: The column holds no times.
    """
    found = []
    for part in parts:
        values = part.column(column)
        if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
            raise SchemaMismatch(f"fresh({column}) needs a timestamp or a date, and the column is {values.type}")
        found.append(pc.max(values).as_py())
    return max((value for value in found if value is not None), default=None)


def summary_of(parts: Iterable[pa.Table], column: str) -> ColumnSummary | None:
    """The summary of a column over the parts; ``None`` without any."""
    merged: ColumnSummary | None = None
    for part in parts:
        one = summarise_column(column, part.column(column))
        merged = one if merged is None else merged.merge(one)
    return merged


def earlier_summary(ws: Workspace, ref: Ref | None, column: str) -> ColumnSummary | None:
    """The summary of a column of a table version; ``None`` when there is none, or it lacks the column."""
    from .delta_log import arrow_schema, require
    from .read import fragments
    from .scan import scan

    if ref is None:
        return None
    opened = require(ws, ref)
    schema = arrow_schema(opened)
    if column not in schema.names:
        return None
    return scan(ws, ref, fragments(opened, ws.table_url(ref), None), schema, [column]).columns[column]


def check_batch(
    ws: Workspace, rules: Iterable[Expectation], earlier: Ref | None, read: Reader, rows: int
) -> Iterator[tuple[Expectation, Outcome]]:
    """The outcome of each rule about numbers, freshness and distribution (`unique` is checked where rows can go).

    Args:
        ws: The workspace.
        rules: The expectations of a source.
        earlier: The table before the batch, pinned; ``None`` when there is none.
        read: One column of the batch, part by part.
        rows: Rows of the batch.
    """
    for rule in rules:
        if rule.rule in ("at_least_rows", "rows_between"):
            yield rule, row_count(rule, rows)
        elif rule.rule == "fresh":
            yield rule, freshness(rule, newest(read(rule.columns[0]), rule.columns[0]), rows)
        elif rule.rule == "similar":
            after = summary_of(read(rule.columns[0]), rule.columns[0])
            before = earlier_summary(ws, earlier, rule.columns[0])
            yield rule, Outcome(0, 0) if after is None else similarity(rule, before, after)
