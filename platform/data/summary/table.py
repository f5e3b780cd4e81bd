"""All columns of a table as one mergeable summary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa

from .column import ColumnSummary, as_floats, kind_of, summarise_column
from .comoments import MOST_COLUMNS, Comoments

_SLICE = 65_536


@dataclass(frozen=True, slots=True)
class TableSummary:
    """What is known of a table's rows; summaries of parts merge into that of the whole.

    Attributes:
        rows: Number of rows.
        columns: Column name to summary, in column order.
        together: Sums from which correlations of numeric and boolean columns come.

    Example:
        >>> one = summarise(pa.table({"n": [1, 2]}))
        >>> both = one.merge(summarise(pa.table({"n": [3, None]})))
        >>> both.rows, both.columns["n"].numbers.mean
        (4, 2.0)
    """

    rows: int
    columns: dict[str, ColumnSummary]
    together: Comoments

    def merge(self, other: TableSummary) -> TableSummary:
        """Of the rows of both, which must have the same columns."""
        columns = {name: column.merge(other.columns[name]) for name, column in self.columns.items()}
        return TableSummary(self.rows + other.rows, columns, self.together.merge(other.together))


def summarise(table: pa.Table) -> TableSummary:
    """The summary of a table in memory.

    Example: see `TableSummary`.
    """
    columns = {name: summarise_column(name, table.column(name)) for name in table.column_names}
    return TableSummary(table.num_rows, columns, _together(table))


def _together(table: pa.Table) -> Comoments:
    """In slices that fit the processor's cache: on whole columns, half of the time goes into moving memory."""
    numeric = [field.name for field in table.schema if kind_of(field.type) in ("number", "boolean")][:MOST_COLUMNS]
    chosen = table.select(numeric)
    slices = (chosen.slice(start, _SLICE) for start in range(0, max(1, table.num_rows), _SLICE))
    return reduce(
        Comoments.merge,
        (Comoments.of({name: as_floats(part.column(name)) for name in numeric}) for part in slices),
    )
