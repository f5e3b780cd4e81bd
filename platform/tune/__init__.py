"""Tuning: Optuna's TPE and ASHA over the parameters of a Spec, through Ray Tune; every trial is a recorded run."""

from .search import Study, search
from .space import Choice, Integer, Real, choice, integer, real

__all__ = ["Choice", "Integer", "Real", "Study", "choice", "integer", "real", "search"]
