"""Metrics of forecasts of one or several series."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core import DataError
from .bootstrap import bootstrap, interval
from .weighted import Measure, mean_of, relative, root_mean_of, symmetric


def evaluate_forecast(
    forecast: ArrayLike,
    actual: ArrayLike,
    *,
    history: ArrayLike | Mapping[Any, ArrayLike] | None = None,
    series: ArrayLike | None = None,
    season: int = 1,
    resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare forecasts with what came.

    Args:
        forecast: float (n,).
        actual: float (n,).
        history: The training values before them, in order of time; for several series a mapping from their names.
            Needed for ``mase`` and ``rmsse``.
        series: (n,) which series a row belongs to, when there are several.
        season: Steps of a season: the naive forecast repeats the value of a season ago (1: the last value).
        resamples: Bootstrap resamples of rows for 95 % intervals; 0 gives none.
        seed: Of the resamples.

    Returns:
        ``mae``, ``rmse``, ``bias``, ``mape`` (rows with an actual of 0 left out; NaN without any other), ``smape`` (0
        to 2; Makridakis 1993), ``wape``; with a history ``mase`` and ``rmsse``, errors over those of the naive
        forecast in the history (Hyndman & Koehler 2006), below 1 when better than it; ``n``; ``intervals`` if asked.

    Raises:
        DataError: No rows, different lengths, numbers that are not finite, or a history that is shorter than a season
            or never changes.

    Example:
        >>> found = evaluate_forecast([3.0, 5.0], [4.0, 4.0], history=[1.0, 2.0, 3.0])
        >>> found["mae"], found["mase"], found["smape"] < 0.3
        (1.0, 1.0, True)
    """
    predicted, came = np.asarray(forecast, np.float64), np.asarray(actual, np.float64)
    if predicted.ndim != 1 or predicted.shape != came.shape:
        raise DataError(f"forecast {predicted.shape} and actual {came.shape} differ in shape: give one for each")
    if not len(predicted):
        raise DataError("0 rows to evaluate: give at least one forecast and what came")
    if not np.isfinite(predicted).all() or not np.isfinite(came).all():
        raise DataError("forecasts and actual values must be finite numbers: drop the others first")
    error = np.abs(predicted - came)
    measures: dict[str, Measure] = {
        "mae": mean_of(error),
        "rmse": root_mean_of(error**2),
        "bias": mean_of(predicted - came),
        "mape": _mean_of_known(relative(predicted, came)),
        "smape": mean_of(symmetric(predicted, came)),
        "wape": lambda weights: (
            (weights @ error) / (weights @ np.abs(came)) if came.any() else weights @ error * math.nan
        ),
    }
    if history is not None:
        plain, squared = _scales(history, series, season, len(came))
        measures["mase"] = mean_of(error / plain)
        measures["rmsse"] = root_mean_of((error / squared) ** 2)
    ones = np.ones((1, len(came)))
    found: dict[str, Any] = {name: float(measure(ones)[0]) for name, measure in measures.items()}
    found["n"] = len(came)
    if resamples:
        drawn = bootstrap(measures, len(came), resamples, seed)
        found["intervals"] = {name: interval(values, 0.95) for name, values in drawn.items()}
    return found


def _mean_of_known(values: Any) -> Measure:
    known = np.isfinite(values)
    filled = np.where(known, values, 0)

    def measure(weights: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (weights @ filled) / (weights @ known.astype(float))

    return measure


def _scales(history: Any, series: Any, season: int, rows: int) -> tuple[Any, Any]:
    """Mean absolute and root mean squared error of the naive forecast in each row's history."""
    if not isinstance(history, Mapping):
        plain, squared = _scale(history, "the history", season)
        return np.full(rows, plain), np.full(rows, squared)
    if series is None:
        raise DataError("history names several series: say which one each row belongs to with series=...")
    names = np.asarray(series).tolist()
    missing = sorted(set(names) - set(history), key=str)
    if missing:
        raise DataError(f"history lacks the series {missing[0]!r}: give the values before each forecast")
    scales = {name: _scale(history[name], f"the history of {name!r}", season) for name in set(names)}
    return np.array([scales[name][0] for name in names]), np.array([scales[name][1] for name in names])


def _scale(values: Any, what: str, season: int) -> tuple[float, float]:
    past = np.asarray(values, np.float64)
    if len(past) <= season:
        raise DataError(f"{what} has {len(past)} values: more than a season ({season}) are needed")
    steps = past[season:] - past[:-season]
    if not np.isfinite(steps).all() or not steps.any():
        raise DataError(f"{what} never changes, or is not finite: errors cannot be scaled by it")
    return float(np.abs(steps).mean()), float(np.sqrt((steps**2).mean()))
