"""What a recipe would do to a table: figures of every column before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ..summary import ColumnSummary, TableSummary, summarise
from .fitted import FittedRecipe

_FIGURES = ("missing", "distinct", "mean", "deviation", "least", "median", "most", "skewness")


@dataclass(frozen=True, slots=True)
class Preview:
    """A recipe, fitted on a sample of a table, and that sample before and after it. Prints as a text table.

    Attributes:
        fitted: The recipe as learned from the sample.
        rows: First rows of the sample after the recipe (at most 20).
        before: Summary of the sample.
        after: Summary of the sample after the recipe; NaN counts as missing.

    Example:
        >>> from raylake.data import Impute, Recipe
        >>> preview = Recipe([Impute(["age"])]).preview(pa.table({"age": [20.0, None, 40.0]}))
        >>> preview.figures().select(["column", "when", "missing", "mean"]).to_pylist()
        [{'column': 'age', 'when': 'before', 'missing': 1, 'mean': 30.0},
         {'column': 'age', 'when': 'after', 'missing': 0, 'mean': 30.0}]
    """

    fitted: FittedRecipe
    rows: pa.Table
    before: TableSummary
    after: TableSummary

    def figures(self) -> pa.Table:
        """Two rows a column where it is there before and after, else one.

        Returns:
            Columns ``column``, ``when`` (``before`` or ``after``), ``type``, ``missing``, ``distinct`` and, for
            numbers, ``mean``, ``deviation`` (standard), ``least``, ``median``, ``most``, ``skewness``.
        """
        names = dict.fromkeys((*self.before.columns, *self.after.columns))
        sides = (("before", self.before), ("after", self.after))
        return pa.Table.from_pylist(
            [_figures(when, side.columns[name]) for name in names for when, side in sides if name in side.columns]
        )

    def __str__(self) -> str:
        table = self.figures().to_pylist()
        heads = ("column", "when", *_FIGURES)
        cells = [heads, *(tuple(_text(row[head]) for head in heads) for row in table)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
        return "\n".join(_line(row, widths) for row in cells)


def make_preview(fitted: FittedRecipe, sample: pa.Table) -> Preview:
    """The preview of a recipe fitted on `sample`."""
    after = fitted.apply_training(sample)
    before = summarise(sample.select(list(fitted.input_columns)))
    return Preview(fitted, after.slice(0, 20), before, summarise(after))


def sample_rows(table: pa.Table, rows: int) -> pa.Table:
    """At most so many rows, the same ones each time, in their order."""
    if table.num_rows <= rows:
        return table
    chosen = np.random.default_rng(0).choice(table.num_rows, rows, replace=False)
    return table.take(pa.array(np.sort(chosen)))


def _figures(when: str, column: ColumnSummary) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("column", "when", "type", *_FIGURES))
    found |= {"column": column.name, "when": when, "type": column.type}
    found |= {"missing": column.missing, "distinct": column.distinct_values}
    numbers = column.numbers
    if column.kind != "number" or numbers is None or not numbers.count:
        return found
    low, median, high = map(float, numbers.quantiles([0, 0.5, 1]))
    figures = (numbers.mean, numbers.standard_deviation, low, median, high, numbers.skewness)
    return found | dict(zip(_FIGURES[2:], figures, strict=True))


def _text(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(row: Iterable[str], widths: list[int]) -> str:
    return "  ".join(
        cell.ljust(width) if at < 2 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
