"""Steps for numbers: scaling, outliers, skew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core import ConfigError
from .quantiles import Counted
from .step import Column, Step, one_of

_QUARTILES = (0.25, 0.5, 0.75)
_LIMITS = {"iqr": 1.5, "zscore": 3.0, "quantile": 0.01}


@dataclass(frozen=True, slots=True)
class Scale(Step):
    """Subtract a centre and divide by a spread; null stays null.

    Attributes:
        columns: Numeric columns. One that never varies is only centred.
        method: ``standard`` (mean, standard deviation of the population), ``robust`` (median, distance of the
            quartiles) or ``minmax`` (least value, range).

    Example:
        >>> Scale(["age"]).method
        'standard'
    """

    method: Literal["standard", "robust", "minmax"] = "standard"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        one_of(self, "method", self.method, ("standard", "robust", "minmax"))

    def partial(self, values: Column, *others: Column) -> Any:
        """Count, mean and sum of squared differences from it; counted values; or the ends."""
        finite = self.finite(values)
        if self.method == "robust":
            return Counted.of(finite)
        if self.method == "minmax":
            return (float(finite.min()), float(finite.max())) if len(finite) else (math.inf, -math.inf)
        return _moments(finite)

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        if self.method == "robust":
            return one.merge(other)
        if self.method == "minmax":
            return min(one[0], other[0]), max(one[1], other[1])
        return _merged(one, other)

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """Centre and scale."""
        if self.method == "robust":
            low, centre, high = summary.quantiles(_QUARTILES) if summary.total else (0.0, 0.0, 0.0)
            return {"center": centre, "scale": _spread(high - low, centre)}
        if self.method == "minmax":
            low, high = summary if summary[0] <= summary[1] else (0.0, 0.0)
            return {"center": low, "scale": _spread(high - low, low)}
        count, mean, squares = summary
        return {"mean": mean, "scale": _spread(float(np.sqrt(squares / count)) if count else 0.0, mean)}


@dataclass(frozen=True, slots=True)
class Clip(Step):
    """Bring outliers back to a limit, or make them null; null stays null.

    A column that has no spread (constant, without values, or quartiles that are equal) has no limits.

    Attributes:
        columns: Numeric columns.
        method: ``iqr`` (quartiles plus or minus `limit` times their distance, Tukey 1977), ``zscore`` (mean plus or
            minus `limit` standard deviations) or ``quantile`` (winsorising: the share `limit` at either end).
        limit: 1.5, 3 and 0.01 by default.
        to: What an outlier becomes: ``limit`` or ``null``.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> fitted = Recipe([Clip(["x"])]).fit(pa.table({"x": [1.0, 2.0, 3.0, 4.0, 500.0]}))
        >>> fitted.apply_columns({"x": [500.0, 2.0]}).tolist()
        [[7.0], [2.0]]
    """

    method: Literal["iqr", "zscore", "quantile"] = "iqr"
    limit: float | None = None
    to: Literal["limit", "null"] = "limit"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        one_of(self, "method", self.method, tuple(_LIMITS))
        one_of(self, "to", self.to, ("limit", "null"))
        limit = _LIMITS[self.method] if self.limit is None else self.limit
        if not (limit > 0 and math.isfinite(limit)) or (self.method == "quantile" and limit >= 0.5):
            raise ConfigError(f"limit={limit!r} of Clip is not valid: use a number above 0 (quantile: below 0.5)")
        object.__setattr__(self, "limit", float(limit))

    def partial(self, values: Column, *others: Column) -> Any:
        """Moments, or counted values."""
        finite = self.finite(values)
        return _moments(finite) if self.method == "zscore" else Counted.of(finite)

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        return _merged(one, other) if self.method == "zscore" else one.merge(other)

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The limits; null without spread."""
        low, high = self._limits(summary)
        found = low < high and math.isfinite(high - low)
        return {"low": low, "high": high} if found else {"low": None, "high": None}

    def _limits(self, summary: Any) -> tuple[float, float]:
        limit = float(self.limit or 0.0)
        if self.method == "zscore":
            count, mean, squares = summary
            spread = float(np.sqrt(squares / count)) if count else 0.0
            reach = 0.0 if _flat(spread, mean) else limit * spread
            return mean - reach, mean + reach
        if not summary.total:
            return 0.0, 0.0
        if self.method == "quantile":
            low, high = summary.quantiles((limit, 1.0 - limit))
            return low, high
        low, _, high = summary.quantiles(_QUARTILES)
        return low - limit * (high - low), high + limit * (high - low)


@dataclass(frozen=True, slots=True)
class Log(Step):
    """The natural logarithm of ``1 + x``, after a shift that makes the least value of training 0.

    Columns without negative values are not shifted. Values below the least one of training become 0, as that one;
    null stays null.

    Attributes:
        columns: Numeric columns.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> fitted = Recipe([Log(["x"])]).fit(pa.table({"x": [-1.0, 0.0]}))
        >>> fitted.apply_columns({"x": [-9.0, 0.0]}).round(3).tolist()
        [[0.0], [0.6930000185966492]]
    """

    def partial(self, values: Column, *others: Column) -> Any:
        """The least value."""
        finite = self.finite(values)
        return float(finite.min()) if len(finite) else math.inf

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        return min(one, other)

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The shift."""
        return {"shift": -summary if summary < 0 else 0.0}


@dataclass(frozen=True, slots=True)
class YeoJohnson(Step):
    """The power transformation that makes a column most nearly normal (Yeo and Johnson, Biometrika 87, 2000).

    Its exponent maximises the likelihood, as in `scipy.stats.yeojohnson`; it is searched between -10 and 10. A column
    with fewer than two different values stays as it is. Null stays null. Follow it with `Scale`.

    Attributes:
        columns: Numeric columns, of either sign.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> skewed = pa.table({"x": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]})
        >>> round(Recipe([YeoJohnson(["x"])]).fit(skewed).steps[0]["values"]["x"]["lambda"], 2)
        -0.14
    """

    def partial(self, values: Column, *others: Column) -> Any:
        """Counted values."""
        return Counted.of(self.finite(values))

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        return one.merge(other)

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The exponent."""
        return {"lambda": _most_likely(summary)}


def yeo_johnson(values: Any, exponent: Any) -> Any:
    """The transformed values; `exponent` is a number or one per column of `values`.

    Example:
        >>> yeo_johnson(np.array([3.0, -3.0]), 1.0).tolist()
        [3.0, -3.0]
    """
    power = np.where(values >= 0, exponent, 2.0 - exponent)
    logs = np.log1p(np.abs(values))
    with np.errstate(over="ignore", invalid="ignore"):
        bent = np.expm1(power * logs) / np.where(power == 0, 1.0, power)
    return np.copysign(np.where(power == 0, logs, bent), values)


def _most_likely(summary: Counted) -> float:
    if len(summary.values) < 2:
        return 1.0
    from scipy.optimize import minimize_scalar

    values, counts = summary.values, summary.counts
    total = summary.total
    slope = float((counts * np.copysign(np.log1p(np.abs(values)), values)).sum())

    def unlikelihood(exponent: float) -> float:
        bent = yeo_johnson(values, exponent)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float((counts * bent).sum()) / total
            variance = float((counts * np.square(bent - mean)).sum()) / total
        if not (math.isfinite(variance) and variance > 0):
            return math.inf
        return 0.5 * total * math.log(variance) - (exponent - 1.0) * slope

    found = minimize_scalar(unlikelihood, bounds=(-10.0, 10.0), method="bounded", options={"xatol": 1e-8})
    return float(found.x) if math.isfinite(found.fun) else 1.0


def _moments(finite: Any) -> tuple[int, float, float]:
    if len(finite) == 0:
        return 0, 0.0, 0.0
    mean = float(finite.mean())
    return len(finite), mean, float(np.square(finite - mean).sum())


def _merged(one: tuple[int, float, float], other: tuple[int, float, float]) -> tuple[int, float, float]:
    """Chan's formula: exact without a second pass."""
    count = one[0] + other[0]
    if count == 0:
        return one
    apart = other[1] - one[1]
    mean = one[1] + apart * other[0] / count
    return count, mean, one[2] + other[2] + apart * apart * one[0] * other[0] / count


def _flat(spread: float, centre: float) -> bool:
    # Rounding leaves a trace of variance in a constant column; dividing by it would blow it up.
    return spread <= abs(centre) * 1e-12 or not math.isfinite(spread)


def _spread(spread: float, centre: float) -> float:
    return 1.0 if _flat(spread, centre) else spread
