"""The evaluation service: metrics with intervals, slices, calibration, thresholds, plots, rankings and gates."""

from .curves import Bin, Costs, Threshold, calibration, cheapest, thresholds
from .forecasting import evaluate_forecast
from .gate import Gate, Verdict, judge
from .leaderboard import Place, leaderboard
from .ranking import evaluate_ranking
from .report import Evaluation, Slice, evaluate_model

__all__ = [
    "Bin",
    "Costs",
    "Evaluation",
    "Gate",
    "Place",
    "Slice",
    "Threshold",
    "Verdict",
    "calibration",
    "cheapest",
    "evaluate_forecast",
    "evaluate_model",
    "evaluate_ranking",
    "judge",
    "leaderboard",
    "thresholds",
]
