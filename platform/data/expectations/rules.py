"""Expectations: declared rules on data, and what happens to rows that break them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ...core import ConfigError, Ref, SchemaMismatch

OnFail = Literal["quarantine", "drop", "fail", "warn"]
Predicate = Callable[[pa.Table], Any]
_CHOICES = ("quarantine", "drop", "fail", "warn")
WHOLE = ("unique", "at_least_rows", "rows_between", "fresh", "similar")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One declared rule; made by the functions of this package, such as `not_null` or `between`.

    Attributes:
        rule: Which rule.
        columns: The columns it reads.
        arguments: Its arguments.
        on_fail: ``quarantine`` (the row goes to ``quarantine.<source>``), ``drop``, ``fail`` (nothing is written) or
            ``warn`` (the row is kept; an alert is recorded).
        known: What `bind` looked up for the rule; no part of its identity.
    """

    rule: str
    columns: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    on_fail: OnFail = "quarantine"
    known: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.on_fail not in _CHOICES:
            raise ConfigError(f"on_fail={self.on_fail!r} of {self.rule} is not valid: use one of {', '.join(_CHOICES)}")

    @property
    def name(self) -> str:
        """The rule as it was written, such as ``between(distance, 1, 6000)``."""
        shown = [*self.columns, *(getattr(argument, "__name__", str(argument)) for argument in self.arguments)]
        return f"{self.rule}({', '.join(shown)})"

    @property
    def whole(self) -> bool:
        """Whether it looks at all rows of a batch together."""
        return self.rule in WHOLE

    def failing(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Mask of the rows that break the rule; null breaks only `not_null`.

        Raises:
            SchemaMismatch: The column does not exist, or its type does not fit the rule.
        """
        self.check_columns(table.schema)
        try:
            return pc.fill_null(self._breaks(table), False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            types = ", ".join(str(table.schema.field(name).type) for name in self.columns)
            raise SchemaMismatch(f"expectation {self.name} does not fit a column of type {types}: {error}") from error

    def check_columns(self, schema: pa.Schema) -> None:
        """Raise `SchemaMismatch` unless every column exists."""
        missing = [name for name in self.columns if name not in schema.names]
        if missing:
            raise SchemaMismatch(f"expectation {self.name} names unknown columns {missing}; there are {schema.names}")

    def _breaks(self, table: pa.Table) -> Any:
        if self.rule in ("satisfies", "holds"):
            return _custom(self, table)
        column = table.column(self.columns[0])
        if self.rule == "not_null":
            return pc.is_null(column)
        if self.rule == "between":
            low, high = (
                pa.scalar(bound).cast(column.type) if isinstance(bound, str) else bound for bound in self.arguments
            )
            inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
            return pc.invert(inside)
        if self.rule == "one_of":
            return _outside(column, pa.array(self.arguments[0]))
        if self.rule == "refers_to":
            if self.known is None:
                raise ConfigError(f"expectation {self.name} was not bound: bind(ws, rule) looks up what it refers to")
            return _outside(column, self.known)
        return pc.invert(pc.match_substring_regex(column, f"^(?:{self.arguments[0]})$"))


def _outside(column: pa.ChunkedArray, allowed: pa.Array) -> Any:
    return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=allowed.cast(column.type))))


def _custom(rule: Expectation, table: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Rows for which the predicate is false; unknown counts as true, as in a CHECK constraint of SQL."""
    if rule.rule == "holds":
        found = _sql(rule, table)
    else:
        found = rule.arguments[0](table)
        if not isinstance(found, pa.Array | pa.ChunkedArray):
            try:
                found = pa.array(found, pa.bool_())
            except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
                raise SchemaMismatch(f"expectation {rule.name} returned {type(found).__name__}: {error}") from error
    if len(found) != table.num_rows or not pa.types.is_boolean(found.type):
        raise SchemaMismatch(
            f"expectation {rule.name} gave {len(found)} values of type {found.type} for {table.num_rows} rows: "
            "give one boolean each"
        )
    return pc.invert(found)


def _sql(rule: Expectation, table: pa.Table) -> pa.Array:
    import polars as pl

    try:
        found = pl.DataFrame(table).select(pl.sql_expr(rule.arguments[0]).alias("holds"))["holds"]
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"expectation {rule.name} cannot be evaluated: {error}") from error
    return found.to_arrow()


def not_null(column: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """Every row has a value.

    Example:
        >>> not_null("origin").name
        'not_null(origin)'
    """
    return Expectation("not_null", (column,), (), on_fail)


def between(column: str, low: Any, high: Any, *, on_fail: OnFail = "quarantine") -> Expectation:
    """Values lie in ``[low, high]``; null passes. Bounds of times may be ISO text.

    Example:
        >>> between("distance", 1, 6000).failing(pa.table({"distance": [0, 5, None]})).to_pylist()
        [True, False, False]
    """
    return Expectation("between", (column,), (low, high), on_fail)


def one_of(column: str, values: Sequence[Any], *, on_fail: OnFail = "quarantine") -> Expectation:
    """Values are among `values`; null passes.

    Example:
        >>> one_of("origin", ["EWR", "JFK"]).failing(pa.table({"origin": ["EWR", "XXX"]})).to_pylist()
        [False, True]
    """
    return Expectation("one_of", (column,), (tuple(values),), on_fail)


def matches(column: str, regex: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """The whole text matches `regex` (RE2 syntax); null passes.

    Example:
        >>> matches("tailnum", "N[0-9A-Z]+").failing(pa.table({"tailnum": ["N1", "D1"]})).to_pylist()
        [False, True]
    """
    return Expectation("matches", (column,), (regex,), on_fail)


def holds(predicate: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """A predicate in SQL is true or unknown in every row.

    Args:
        predicate: Such as ``"arrival >= departure OR cancelled"``; polars' dialect of SQL.
        on_fail: As for every rule.

    Raises:
        SchemaMismatch: When it is evaluated: it does not parse, or names an unknown column.

    Example:
        >>> holds("a < b").failing(pa.table({"a": [1, 5, None], "b": [2, 2, 2]})).to_pylist()
        [False, True, False]
    """
    return Expectation("holds", (), (predicate,), on_fail)


def satisfies(predicate: Predicate, *columns: str, on_fail: OnFail = "quarantine") -> Expectation:
    """A function of yours is true in every row.

    Args:
        predicate: From a table to one boolean a row (Arrow, numpy or a list); a top-level function, picklable. It sees
            a part of the rows at a time.
        columns: Columns that it needs, checked before it is called.
        on_fail: As for every rule.

    Example:
        >>> def short(table):
        ...     return pc.less(pc.utf8_length(table["name"]), 3)
        >>> rule = satisfies(short, "name")
        >>> rule.name, rule.failing(pa.table({"name": ["ab", "abc"]})).to_pylist()
        ('satisfies(name, short)', [False, True])
    """
    return Expectation("satisfies", columns, (predicate,), on_fail)


def refers_to(column: str, table: Ref | str, key: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """Every value exists in a column of another table (of its newest version when the check begins, or a pinned one).

    Args:
        column: The column to check; null passes.
        table: The other table, ``airports`` or ``airports@3``.
        key: Its column; its different values are held in memory.
        on_fail: As for every rule.

    Example:
        >>> refers_to("origin", "airports", "faa").name
        'refers_to(origin, airports, faa)'
    """
    ref = Ref.parse(table) if isinstance(table, str) else table
    return Expectation("refers_to", (column,), (str(ref), key), on_fail)
