"""From a summary to the figures and remarks that a person reads."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from ..summary import ColumnSummary, Comoments, Numbers
from ..summary.numbers import Floats
from .records import ColumnProfile

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_BINS = 20
_TOP = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def derive_column(summary: ColumnSummary) -> ColumnProfile:
    """The profile of one column."""
    frequent = summary.frequent
    base: dict[str, Any] = {
        "name": summary.name,
        "type": summary.type,
        "kind": summary.kind,
        "rows": summary.rows,
        "missing": summary.missing,
        "distinct": summary.distinct_values,
        "distinct_is_exact": frequent is not None and frequent.complete,
        "top": tuple((plain(value), count) for value, count in frequent.top(_TOP)) if frequent else (),
        "top_is_exact": frequent is None or frequent.complete,
        "examples": tuple(map(plain, summary.examples.to_pylist())),
    }
    figures = _figures(summary, summary.numbers) if summary.numbers and summary.numbers.count else {}
    return ColumnProfile(**base, **figures, notes=tuple(_notes(summary)))


def correlations(together: Comoments, most: int = 500) -> tuple[tuple[str, str, float], ...]:
    """Pairs of columns, strongest correlation first."""
    found = together.correlations()
    pairs = [
        (one, two, round(float(found[i, j]), 4))
        for i, one in enumerate(together.names)
        for j, two in enumerate(together.names[:i])
        if math.isfinite(found[i, j])
    ]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2]))[:most])


def plain(value: Any) -> Any:
    """A value as JSON holds it: times as ISO 8601, bytes by their size, long text shortened.

    Example:
        >>> plain(datetime(2013, 1, 1)), plain(b"abc")
        ('2013-01-01T00:00:00', '3 bytes')
    """
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _figures(summary: ColumnSummary, numbers: Numbers) -> dict[str, Any]:
    def shown(value: float) -> Any:
        return _value(value, summary)

    values = numbers.quantiles(QUANTILES)
    found = {
        "low": shown(numbers.low),
        "high": shown(numbers.high),
        "mean": shown(numbers.mean),
        "quantiles": {str(share): shown(value) for share, value in zip(QUANTILES, values, strict=True)},
        "histogram": _histogram(summary, numbers),
    }
    if summary.kind == "time":
        return found
    found["deviation"] = _finite(numbers.standard_deviation)
    if summary.kind == "number":
        found |= {
            "skewness": _finite(numbers.skewness),
            "kurtosis": _finite(numbers.kurtosis),
            "zeros": numbers.zeros,
            "negative": numbers.negative,
            "infinite": numbers.infinite,
            "outliers": _outliers(numbers),
        }
    return found


def _histogram(summary: ColumnSummary, numbers: Numbers) -> tuple[tuple[Any, Any, int], ...]:
    """Equal bins over the middle 99 %, the ends of which hold what lies beyond: one far value must not hide all."""
    low, high = numbers.quantiles((0.005, 0.995))
    if not high > low:
        return ((_value(low, summary), _value(high, summary), numbers.count),)
    edges = _whole_edges(low, high) if _whole(summary) else np.linspace(low, high, _BINS + 1)
    below = numbers.share_below(edges[1:-1].tolist())
    shares = np.diff(np.concatenate(([0.0], below, [1.0])))
    counts = np.round(shares * numbers.count).astype(int)
    return tuple(
        (_edge(float(left), summary), _edge(float(right), summary), int(count))
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    )


def _whole_edges(low: float, high: float) -> Floats:
    """Bins that hold equally many whole numbers: others would show waves that are not in the data."""
    width = math.ceil((high - low + 1) / _BINS)
    return np.arange(low - 0.5, high + width, width)


def _whole(summary: ColumnSummary) -> bool:
    return summary.kind == "text" or "int" in summary.type


def _outliers(numbers: Numbers) -> float | None:
    first, third = numbers.quantiles((0.25, 0.75))
    reach = 1.5 * (third - first)
    if not reach > 0:
        return None
    below, upto = numbers.share_below((float(first - reach), float(third + reach)))
    return float(max(0.0, below + 1.0 - upto))


def _edge(value: float, summary: ColumnSummary) -> Any:
    """A bin's end; the bins of whole numbers end between two of them, and are named by the one inside."""
    return _value(math.ceil(value) if _whole(summary) else value, summary)


def _value(value: float, summary: ColumnSummary) -> Any:
    if summary.kind == "time" and math.isfinite(value):
        return _moment(value, summary.type)
    if _whole(summary) and value == int(value):
        return int(value)
    return _finite(value)


def _moment(ticks: float, type_name: str) -> str:
    """A number of ticks since 1970 as text; times of day and durations stay numbers of ticks."""
    try:
        if type_name.startswith("date32"):
            return str((_EPOCH + timedelta(days=ticks)).date())
        if type_name.startswith(("timestamp", "date64")):
            unit = (
                "ms" if type_name.startswith("date64") else type_name.partition("[")[2].partition("]")[0].split(",")[0]
            )
            scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
            return (_EPOCH + timedelta(seconds=round(ticks * scale, 6))).isoformat()
    except OverflowError:
        return f"{ticks:.0f}"
    return f"{ticks:.0f}"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _notes(summary: ColumnSummary) -> list[str]:
    notes = []
    present = summary.rows - summary.missing
    if summary.rows and not present:
        return ["every value is missing"]
    if summary.missing > 0.2 * summary.rows:
        notes.append(f"{summary.missing / summary.rows:.0%} of the values are missing")
    different = summary.distinct_values
    if present > 1 and different == 1:
        notes.append("constant: one value in every row")
    if present > 100 and different >= present * 0.98 and summary.kind in ("number", "text"):
        notes.append("nearly every value is another: a key, or free text?")
    numbers = summary.numbers
    if summary.kind == "number" and numbers is not None:
        if math.isfinite(numbers.skewness) and abs(numbers.skewness) > 3:
            notes.append(f"skewed ({numbers.skewness:+.1f}): a logarithm or Yeo-Johnson may help")
        if numbers.infinite:
            notes.append(f"{numbers.infinite:,} infinite values")
    if summary.kind in ("boolean", "text") and summary.frequent and present > 100 and different > 1:
        share = summary.frequent.counts[0] / present if summary.frequent.counts else 0.0
        if share > 0.95:
            notes.append(f"imbalanced: one value in {share:.1%} of the rows")
    if summary.nans:
        notes.append(f"{summary.nans:,} NaN, counted as missing")
    return notes
