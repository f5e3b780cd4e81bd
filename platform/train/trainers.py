"""How to fit: frozen descriptions of a learning algorithm and its parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..core import ConfigError
from .boosted import Boosted
from .trainer import Loop, check_positive, freeze, importable

XGBOOST_PARAMETERS = frozenset(
    {
        "alpha",
        "base_score",
        "booster",
        "colsample_bylevel",
        "colsample_bynode",
        "colsample_bytree",
        "eta",
        "eval_metric",
        "gamma",
        "grow_policy",
        "huber_slope",
        "interaction_constraints",
        "lambda",
        "learning_rate",
        "max_bin",
        "max_cat_threshold",
        "max_cat_to_onehot",
        "max_delta_step",
        "max_depth",
        "max_leaves",
        "min_child_weight",
        "min_split_loss",
        "monotone_constraints",
        "normalize_type",
        "num_parallel_tree",
        "objective",
        "one_drop",
        "quantile_alpha",
        "rate_drop",
        "reg_alpha",
        "reg_lambda",
        "sample_type",
        "sampling_method",
        "scale_pos_weight",
        "skip_drop",
        "subsample",
        "tree_method",
        "tweedie_variance_power",
        "verbosity",
    }
)
_OURS = {
    "device": "Compute(gpus=...)",
    "n_estimators": "XGBoost(rounds=...)",
    "n_jobs": "Compute(cpus=...)",
    "nthread": "Compute(cpus=...)",
    "num_boost_round": "XGBoost(rounds=...)",
    "random_state": "Spec(seed=...)",
    "seed": "Spec(seed=...)",
}
_OBJECTIVE_TASKS = {"binary:logistic": "binary", "multi:softprob": "multiclass"}
MLP_MODULE = "raylake.train.modules:TabularMLP"


class XGBoost(Boosted):
    """Gradient-boosted trees.

    Attributes:
        rounds: Number of boosting rounds (default 100).
        early_stopping: Stop when the validation metric has not improved for so many rounds; ``None`` never stops.
        settings: XGBoost's own parameters as sorted pairs; see `params`.

    Raises:
        ConfigError: A parameter that XGBoost does not know, or one that raylake sets from another field.

    Example:
        >>> XGBoost(50, max_depth=6).params
        {'max_depth': 6}
        >>> XGBoost(max_dept=6)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: XGBoost has no parameter 'max_dept': did you mean 'max_depth'? ...
    """

    __slots__ = ()

    kind: ClassVar[str] = "xgboost"
    flavour: ClassVar[str] = "xgboost"
    worker_loop: ClassVar[Loop] = Loop("xgboost_loop:train_xgboost", "ray.train.xgboost:XGBoostTrainer")
    takes: ClassVar[str] = "numbers"

    @classmethod
    def check_parameter(cls, name: str) -> None:
        """See `Boosted.check_parameter`."""
        if name in _OURS:
            raise ConfigError(f"XGBoost parameter {name!r} is set by raylake: use {_OURS[name]}")
        if name in XGBOOST_PARAMETERS:
            return
        close = difflib.get_close_matches(name, XGBOOST_PARAMETERS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"XGBoost has no parameter {name!r}: {hint}Known parameters: {', '.join(sorted(XGBOOST_PARAMETERS))}"
        )

    def task(self) -> str | None:
        """The task of its objective.

        Raises:
            ConfigError: An objective that raylake does not support.
        """
        objective = self.params.get("objective")
        if objective is None:
            return None
        if objective in _OBJECTIVE_TASKS:
            return _OBJECTIVE_TASKS[objective]
        if str(objective).startswith(("reg:", "count:")):
            return "regression"
        raise ConfigError(
            f"XGBoost objective {objective!r} is not supported: use binary:logistic, multi:softprob, reg:… or count:…"
        )


@dataclass(frozen=True, slots=True, init=False)
class Lightning:
    """A PyTorch Lightning module over float32 matrices.

    The class is imported by its path when the model is loaded, so it must live in an importable module. It is
    called as ``Class(inputs=<number of columns>, task="binary"|"multiclass"|"regression", **kwargs)``, with
    ``classes=<number>`` too when there are several; ``training_step`` gets ``(x, y)`` with x float32 (batch, inputs)
    and y float32 (batch,), the number of the class for several; ``forward(x)`` returns logits (binary) or values
    (regression), float32 (batch,), or logits (batch, classes).

    Attributes:
        module: ``package.module:Class``, or the class itself.
        kwargs: Further arguments of the class, as pairs or a mapping.
        max_epochs: Passes over the training rows (default 10).
        batch_size: Rows of one step, all workers together (default 1024).
        lr: Learning rate, passed to the class as ``lr`` (default 1e-3).

    Example:
        >>> Lightning("raylake.train.modules:TabularMLP", {"hidden": (8,)}, max_epochs=2).options
        {'hidden': [8], 'lr': 0.001}
    """

    kind: ClassVar[str] = "lightning"
    flavour: ClassVar[str] = "torch"
    worker_loop: ClassVar[Loop] = Loop("lightning_loop:train_lightning", "ray.train.torch:TorchTrainer")
    takes: ClassVar[str] = "dense"

    module: str
    kwargs: tuple[tuple[str, Any], ...]
    max_epochs: int
    batch_size: int
    lr: float

    def __init__(
        self,
        module: str | type,
        kwargs: Mapping[str, Any] | tuple[tuple[str, Any], ...] = (),
        max_epochs: int = 10,
        batch_size: int = 1024,
        lr: float = 1e-3,
    ) -> None:
        path = importable(module, "module")
        check_positive("Lightning", "max_epochs", max_epochs)
        check_positive("Lightning", "batch_size", batch_size)
        object.__setattr__(self, "module", path)
        object.__setattr__(self, "kwargs", tuple(sorted((k, freeze(v)) for k, v in dict(kwargs).items())))
        object.__setattr__(self, "max_epochs", max_epochs)
        object.__setattr__(self, "batch_size", batch_size)
        object.__setattr__(self, "lr", float(lr))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the class, JSON-able, `lr` included."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in self.kwargs}
        return {**found, "lr": self.lr}

    def check(self, task: str) -> None:
        """Any task."""

    def updated(self, **changes: Any) -> Lightning:
        """A copy with other values; names that are no field of this class go to `kwargs`."""
        ours = {name: changes.pop(name) for name in ("max_epochs", "batch_size", "lr") if name in changes}
        return replace(self, kwargs=tuple({**dict(self.kwargs), **changes}.items()), **ours)

    def task(self) -> str | None:
        """Any: the module is told."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {
            "kind": self.kind,
            "module": self.module,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            **self.options,
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Lightning:
        """The inverse of `to_dict`."""
        ours = {name: found[name] for name in ("module", "max_epochs", "batch_size", "lr")}
        return cls(kwargs={name: value for name, value in found.items() if name not in ours}, **ours)


def MLP(  # noqa: N802 (reads as a value, like the other trainers)
    hidden: tuple[int, ...] = (64, 32),
    *,
    epochs: int = 10,
    lr: float = 1e-3,
    batch_size: int = 1024,
    dropout: float = 0.0,
) -> Lightning:
    """A multi-layer perceptron for tables, trained through Lightning.

    Example:
        >>> MLP((8,), epochs=2).module
        'raylake.train.modules:TabularMLP'
    """
    return Lightning(MLP_MODULE, {"hidden": tuple(hidden), "dropout": dropout}, epochs, batch_size, lr)
