"""Tuning: Optuna proposes parameters of a Spec, Ray Tune runs the trials, and every trial is a recorded run."""

from .budget import Budget
from .search import search
from .service import Suggestion, Told, ask, close_study, open_study, tell
from .space import Choice, Integer, Real, choice, integer, real
from .study import Study
from .tree import Branch, branch, space_from_dict, space_to_dict

__all__ = [
    "Branch",
    "Budget",
    "Choice",
    "Integer",
    "Real",
    "Study",
    "Suggestion",
    "Told",
    "ask",
    "branch",
    "choice",
    "close_study",
    "integer",
    "open_study",
    "real",
    "search",
    "space_from_dict",
    "space_to_dict",
    "tell",
]
