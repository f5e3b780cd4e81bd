"""How the features were distributed that a model was trained on: a small record that stays with the model."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from ..data.summary import ColumnSummary, summarise

DISTRIBUTION_FILE = "features.json"
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP = 20


def distribution(rows: pa.Table) -> dict[str, Any]:
    """Of each column: rows, missing and different values, moments, quantiles (of text: lengths), frequent values.

    Example:
        >>> found = distribution(pa.table({"c": ["a", "b", "a"]}))
        >>> found["c"]["missing"], found["c"]["frequent"]
        (0, [['a', 2], ['b', 1]])
    """
    return {name: _of(summary) for name, summary in summarise(rows).columns.items()}


def _of(summary: ColumnSummary) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": summary.type,
        "rows": summary.rows,
        "missing": summary.missing,
        "distinct": summary.distinct_values,
    }
    numbers = summary.numbers
    if numbers is not None and numbers.count:
        found |= {
            "mean": _finite(numbers.mean),
            "deviation": _finite(numbers.standard_deviation),
            "low": _finite(numbers.low),
            "high": _finite(numbers.high),
            "quantiles": dict(zip(map(str, _SHARES), map(_finite, numbers.quantiles(_SHARES)), strict=True)),
        }
    if summary.frequent is not None:
        found["frequent"] = [[_plain(value), count] for value, count in summary.frequent.top(_TOP)]
    return found


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value)
    return value if isinstance(value, str | int | bool | None) else str(value)
