"""All trainers by their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import ConfigError
from .function_trainer import Function
from .lightgbm_trainer import LightGBM
from .sklearn_trainer import Sklearn
from .torch_trainer import Torch
from .trainer import Trainer
from .trainers import Lightning, XGBoost

TRAINERS: Mapping[str, type] = {kind.kind: kind for kind in (XGBoost, LightGBM, Sklearn, Torch, Lightning, Function)}


def trainer_from_dict(found: Mapping[str, Any]) -> Trainer:
    """The trainer of a stored description.

    Raises:
        ConfigError: An unknown kind.

    Example:
        >>> trainer_from_dict({"kind": "xgboost", "rounds": 5, "max_depth": 2})
        XGBoost(rounds=5, early_stopping=None, settings=(('max_depth', 2),))
    """
    facts = dict(found)
    kind = facts.pop("kind", None)
    if kind not in TRAINERS:
        raise ConfigError(f"trainer {kind!r} is not known: use one of {', '.join(TRAINERS)}")
    trainer: Trainer = TRAINERS[kind].from_dict(facts)  # type: ignore[attr-defined]
    return trainer
