"""What a profile says: frozen values of plain types, so that they become JSON as they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from ...core import Ref


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column of a profile. Values of times are ISO 8601 text; figures that do not exist are ``None``.

    Attributes:
        name: The column.
        type: Its type.
        kind: ``number``, ``time``, ``boolean``, ``text`` or ``other``.
        rows: All rows.
        missing: Rows with null or NaN.
        distinct: Different values.
        distinct_is_exact: Whether `distinct` was counted; otherwise its standard error is 1.6 %.
        low: Smallest value (text: fewest characters).
        high: Largest value (text: most characters).
        mean: Mean (text: of the number of characters).
        deviation: Standard deviation of the sample.
        skewness: Third standardised moment.
        kurtosis: Excess kurtosis.
        zeros: Values equal to 0.
        negative: Values below 0.
        infinite: Infinite values.
        quantiles: Share (``"0.05"``) to value; within 0.7 % of rank.
        histogram: Twenty bins of equal width between the 0.5 % and 99.5 % quantiles as ``(from, to, rows)``.
        outliers: Share of values outside Tukey's fences, 1.5 interquartile ranges beyond the quartiles.
        top: Most frequent values with their counts.
        top_is_exact: Whether the counts of `top` are exact.
        examples: Some values.
        notes: What a person should look at, in words.
    """

    name: str
    type: str
    kind: str
    rows: int
    missing: int
    distinct: int
    distinct_is_exact: bool
    low: Any = None
    high: Any = None
    mean: Any = None
    deviation: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    zeros: int | None = None
    negative: int | None = None
    infinite: int | None = None
    quantiles: dict[str, Any] = field(default_factory=dict)
    histogram: tuple[tuple[Any, Any, int], ...] = ()
    outliers: float | None = None
    top: tuple[tuple[Any, int], ...] = ()
    top_is_exact: bool = True
    examples: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing_share(self) -> float:
        """Share of rows without a value, 0 to 1."""
        return self.missing / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What a table version holds, column by column.

    In a notebook it shows itself as a page; `to_json` and `to_html` give it as text.

    Attributes:
        table: The profiled version, ``flights@3``.
        rows: Number of rows.
        columns: Column name to profile, in column order.
        correlations: Pairs of numeric columns with Pearson's coefficient, strongest first.
        seconds: How long the pass took.
    """

    table: str
    rows: int
    columns: dict[str, ColumnProfile]
    correlations: tuple[tuple[str, str, float], ...]
    seconds: float

    @property
    def ref(self) -> Ref:
        """The profiled version."""
        return Ref.parse(self.table)

    def to_json(self) -> str:
        """The whole profile as one JSON object."""
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2, default=str).decode()

    def to_html(self) -> str:
        """A self-contained page: no script, nothing loaded from elsewhere."""
        from .page import page_of

        return page_of(self)

    def _repr_html_(self) -> str:
        from .page import fragment_of

        return fragment_of(self)
