"""`LightGBM`: gradient-boosted trees, grown leaf by leaf."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import ClassVar

from ..core import ConfigError
from .boosted import Boosted
from .trainer import Loop

_OURS = {
    "num_iterations": "LightGBM(rounds=...)",
    "early_stopping_round": "LightGBM(early_stopping=...)",
    "seed": "Spec(seed=...)",
    "num_threads": "Compute(cpus=...)",
    "device_type": "Compute(gpus=...)",
    "num_machines": "Compute(workers=...)",
    "machines": "Compute(workers=...)",
    "local_listen_port": "Compute(workers=...)",
    "tree_learner": "Compute(workers=...)",
    "num_class": "the classes of the label",
    "pre_partition": "Compute(workers=...)",
}
_TASKS = {
    "binary": "binary",
    "multiclass": "multiclass",
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie"),
        "regression",
    ),
}
_ALIASES = {
    "softmax": "multiclass",
    "l2": "regression",
    "mse": "regression",
    "l1": "regression_l1",
    "mae": "regression_l1",
}


class LightGBM(Boosted):
    """Gradient-boosted trees of LightGBM.

    Attributes:
        rounds: Number of boosting rounds (default 100).
        early_stopping: Stop when the validation metric has not improved for so many rounds; ``None`` never stops.
        settings: LightGBM's own parameters as sorted pairs; see `params`.

    Raises:
        ConfigError: A parameter that LightGBM does not know, or one that raylake sets from another field.

    Example:
        >>> LightGBM(50, num_leaves=15).params
        {'num_leaves': 15}
        >>> LightGBM(num_leafs=15)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: LightGBM has no parameter 'num_leafs': did you mean 'num_leaf'? ...
    """

    __slots__ = ()

    kind: ClassVar[str] = "lightgbm"
    flavour: ClassVar[str] = "lightgbm"
    worker_loop: ClassVar[Loop] = Loop("lightgbm_loop:train_lightgbm", "ray.train.lightgbm:LightGBMTrainer")
    takes: ClassVar[str] = "numbers"

    @classmethod
    def check_parameter(cls, name: str) -> None:
        """See `Boosted.check_parameter`."""
        known = parameters()
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigError(f"LightGBM has no parameter {name!r}: {hint}See LightGBM's list of parameters")
        if known[name] in _OURS:
            raise ConfigError(f"LightGBM parameter {name!r} is set by raylake: use {_OURS[known[name]]}")
        if name not in {known[name], "learning_rate", "objective"}:
            raise ConfigError(f"LightGBM parameter {name!r} is an alias: use its main name {known[name]!r}")

    def task(self) -> str | None:
        """The task of its objective.

        Raises:
            ConfigError: An objective that raylake does not support.
        """
        objective = self.params.get("objective")
        if objective is None:
            return None
        found = _TASKS.get(_ALIASES.get(objective, objective))
        if found is None:
            raise ConfigError(f"LightGBM objective {objective!r} is not supported: use one of {', '.join(_TASKS)}")
        return found


@lru_cache(maxsize=1)
def parameters() -> dict[str, str]:
    """Every parameter of the installed LightGBM, aliases too, to its main name.

    Example:
        >>> parameters()["n_estimators"]
        'num_iterations'
    """
    from lightgbm.basic import _ConfigAliases

    found = _ConfigAliases._get_all_param_aliases()
    return {name: main for main, names in found.items() for name in (main, *names)}
