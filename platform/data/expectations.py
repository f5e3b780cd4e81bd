"""Expectations: declared rules on data, and what happens to rows that break them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from ..core import ConfigError, SchemaMismatch

OnFail = Literal["quarantine", "drop", "fail", "warn"]
_CHOICES = ("quarantine", "drop", "fail", "warn")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One declared rule; made by `not_null`, `between`, `one_of`, `matches`, `unique`, `at_least_rows`.

    Attributes:
        rule: Which rule.
        columns: The columns it reads.
        arguments: Its arguments.
        on_fail: ``quarantine`` (the row goes to ``quarantine.<source>``), ``drop``, ``fail`` (nothing is written) or
            ``warn`` (the row is kept; an alert is recorded).
    """

    rule: str
    columns: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    on_fail: OnFail = "quarantine"

    def __post_init__(self) -> None:
        if self.on_fail not in _CHOICES:
            raise ConfigError(f"on_fail={self.on_fail!r} of {self.rule} is not valid: use one of {', '.join(_CHOICES)}")

    @property
    def name(self) -> str:
        """The rule as it was written, such as ``between(distance, 1, 6000)``."""
        shown = [*self.columns, *(str(argument) for argument in self.arguments)]
        return f"{self.rule}({', '.join(shown)})"

    @property
    def whole(self) -> bool:
        """Whether it looks at all rows of a batch together."""
        return self.rule in ("unique", "at_least_rows")

    def failing(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Mask of the rows that break the rule; null breaks only `not_null`.

        Raises:
            SchemaMismatch: The column does not exist, or its type does not fit the rule.
        """
        self.check_columns(table.schema)
        column = table.column(self.columns[0])
        try:
            return pc.fill_null(self._breaks(column), False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaMismatch(
                f"expectation {self.name} does not fit a column of type {column.type}: {error}"
            ) from error

    def check_columns(self, schema: pa.Schema) -> None:
        """Raise `SchemaMismatch` unless every column exists."""
        missing = [name for name in self.columns if name not in schema.names]
        if missing:
            raise SchemaMismatch(f"expectation {self.name} names unknown columns {missing}; there are {schema.names}")

    def _breaks(self, column: pa.ChunkedArray) -> Any:
        if self.rule == "not_null":
            return pc.is_null(column)
        if self.rule == "between":
            low, high = (
                pa.scalar(bound).cast(column.type) if isinstance(bound, str) else bound for bound in self.arguments
            )
            inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
            return pc.invert(inside)
        if self.rule == "one_of":
            allowed = pa.array(self.arguments[0]).cast(column.type)
            return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=allowed)))
        return pc.invert(pc.match_substring_regex(column, f"^(?:{self.arguments[0]})$"))


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
    if on_fail not in ("fail", "warn"):
        raise ConfigError(f"at_least_rows cannot {on_fail!r}: no single row is to blame; use on_fail='fail' or 'warn'")
    return Expectation("at_least_rows", (), (rows,), on_fail)
