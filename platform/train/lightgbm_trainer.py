"""`LightGBM`: gradient-boosted trees, grown leaf by leaf."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from ..core import ConfigError
from .trainer import Loop, check_positive, freeze

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


@dataclass(frozen=True, slots=True, init=False)
class LightGBM:
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

    kind: ClassVar[str] = "lightgbm"
    flavour: ClassVar[str] = "lightgbm"
    worker_loop: ClassVar[Loop] = Loop("lightgbm_loop:train_lightgbm", "ray.train.lightgbm:LightGBMTrainer")
    takes: ClassVar[str] = "numbers"

    rounds: int
    early_stopping: int | None
    settings: tuple[tuple[str, Any], ...]

    def __init__(self, rounds: int = 100, *, early_stopping: int | None = None, **params: Any) -> None:
        # `settings` arrives here when dataclasses.replace() copies a value.
        merged = {**dict(params.pop("settings", ())), **params}
        for name in merged:
            _check_parameter(name)
        check_positive("LightGBM", "rounds", rounds)
        if early_stopping is not None:
            check_positive("LightGBM", "early_stopping", early_stopping)
        object.__setattr__(self, "rounds", rounds)
        object.__setattr__(self, "early_stopping", early_stopping)
        object.__setattr__(self, "settings", tuple(sorted((k, freeze(v)) for k, v in merged.items())))

    @property
    def params(self) -> dict[str, Any]:
        """LightGBM's parameters as a new dict."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}

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

    def check(self, task: str) -> None:
        """Any task."""

    def updated(self, **changes: Any) -> LightGBM:
        """A copy with other parameters or rounds."""
        given = {"rounds": self.rounds, "early_stopping": self.early_stopping, **self.params, **changes}
        return LightGBM(**given)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        extra = {} if self.early_stopping is None else {"early_stopping": self.early_stopping}
        return {"kind": self.kind, "rounds": self.rounds, **extra, **self.params}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> LightGBM:
        """The inverse of `to_dict`."""
        return cls(**found)


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


def _check_parameter(name: str) -> None:
    known = parameters()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"LightGBM has no parameter {name!r}: {hint}See LightGBM's list of parameters")
    if known[name] in _OURS:
        raise ConfigError(f"LightGBM parameter {name!r} is set by raylake: use {_OURS[known[name]]}")
    if name not in {known[name], "learning_rate", "objective"}:
        raise ConfigError(f"LightGBM parameter {name!r} is an alias: use its main name {known[name]!r}")
