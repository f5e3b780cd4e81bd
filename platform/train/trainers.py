"""How to fit: frozen descriptions of a learning algorithm and its parameters."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core import ConfigError

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
MLP_MODULE = "raylake.train.modules:TabularMLP"
NETWORK_MODULE = "raylake.train.networks:Perceptron"
LOSSES = ("auto", "bce", "mse", "l1", "huber")


@dataclass(frozen=True, slots=True, init=False)
class XGBoost:
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

    rounds: int
    early_stopping: int | None
    settings: tuple[tuple[str, Any], ...]

    def __init__(self, rounds: int = 100, *, early_stopping: int | None = None, **params: Any) -> None:
        # `settings` arrives here when dataclasses.replace() copies a value.
        merged = {**dict(params.pop("settings", ())), **params}
        for name in merged:
            _check_parameter(name)
        _check_positive("XGBoost", "rounds", rounds)
        if early_stopping is not None:
            _check_positive("XGBoost", "early_stopping", early_stopping)
        object.__setattr__(self, "rounds", rounds)
        object.__setattr__(self, "early_stopping", early_stopping)
        object.__setattr__(self, "settings", tuple(sorted((k, _freeze(v)) for k, v in merged.items())))

    @property
    def params(self) -> dict[str, Any]:
        """XGBoost's parameters as a new dict."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.settings}

    def updated(self, **changes: Any) -> XGBoost:
        """A copy with other parameters or rounds.

        Example:
            >>> XGBoost(50, max_depth=6).updated(max_depth=3, rounds=9)
            XGBoost(rounds=9, early_stopping=None, settings=(('max_depth', 3),))
        """
        given = {"rounds": self.rounds, "early_stopping": self.early_stopping, **self.params, **changes}
        return XGBoost(**given)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        extra = {} if self.early_stopping is None else {"early_stopping": self.early_stopping}
        return {"kind": "xgboost", "rounds": self.rounds, **extra, **self.params}


@dataclass(frozen=True, slots=True, init=False)
class Lightning:
    """A PyTorch Lightning module over float32 matrices.

    The class is imported by its path when the model is loaded, so it must live in an importable module. It is
    called as ``Class(inputs=<number of columns>, task="binary"|"regression", **kwargs)``; ``training_step`` gets
    ``(x, y)`` with x float32 (batch, inputs) and y float32 (batch,); ``forward(x)`` returns logits (binary) or
    values (regression), float32 (batch,).

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
        path = _importable(module, "module")
        _check_positive("Lightning", "max_epochs", max_epochs)
        _check_positive("Lightning", "batch_size", batch_size)
        object.__setattr__(self, "module", path)
        object.__setattr__(self, "kwargs", tuple(sorted((k, _freeze(v)) for k, v in dict(kwargs).items())))
        object.__setattr__(self, "max_epochs", max_epochs)
        object.__setattr__(self, "batch_size", batch_size)
        object.__setattr__(self, "lr", float(lr))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the class, JSON-able, `lr` included."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in self.kwargs}
        return {**found, "lr": self.lr}

    def updated(self, **changes: Any) -> Lightning:
        """A copy with other values; names that are no field of this class go to `kwargs`."""
        ours = {name: changes.pop(name) for name in ("max_epochs", "batch_size", "lr") if name in changes}
        return replace(self, kwargs=tuple({**dict(self.kwargs), **changes}.items()), **ours)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {
            "kind": "lightning",
            "module": self.module,
            "max_epochs": self.max_epochs,
            "batch_size": self.batch_size,
            **self.options,
        }


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


@dataclass(frozen=True, slots=True, init=False)
class Torch:
    """A PyTorch network: our loop with an optimiser and a loss, or a loop of your own.

    The class is called as ``Class(inputs=<number of columns>, task="binary"|"regression", **kwargs)``;
    ``forward(x)`` takes float32 (batch, inputs) and returns logits (binary) or values (regression), (batch,).

    Attributes:
        module: ``package.module:Class`` of an ``nn.Module``, or the class itself.
        kwargs: Further arguments of the class, as pairs or a mapping.
        optimizer: Name in ``torch.optim`` (default ``AdamW``).
        loss: ``auto`` (``bce`` for binary labels, else ``mse``), ``bce``, ``mse``, ``l1``, ``huber``, or
            ``package.module:function`` that takes outputs and labels and returns one loss for each row.
        loop: ``package.module:function`` of a loop of your own, called with a `Work`; ``None`` for ours.
        epochs: Passes over the training rows (default 10).
        batch_size: Rows of one step, all workers together (default 1024).
        lr: Learning rate (default 1e-3).
        settings: Further arguments of the optimiser as sorted pairs; given as keywords.

    Raises:
        ConfigError: A name that cannot be imported by a worker, an unknown optimiser or loss, a wrong number.

    Example:
        >>> Torch("raylake.train.networks:Perceptron", {"hidden": (8,)}, optimizer="SGD", lr=0.1).options
        {'hidden': [8]}
    """

    module: str
    kwargs: tuple[tuple[str, Any], ...]
    optimizer: str
    loss: str
    loop: str | None
    epochs: int
    batch_size: int
    lr: float
    settings: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        module: str | type = NETWORK_MODULE,
        kwargs: Mapping[str, Any] | tuple[tuple[str, Any], ...] = (),
        *,
        optimizer: str = "AdamW",
        loss: str = "auto",
        loop: str | Callable[..., Any] | None = None,
        epochs: int = 10,
        batch_size: int = 1024,
        lr: float = 1e-3,
        **settings: Any,
    ) -> None:
        if loss not in LOSSES and ":" not in loss:
            raise ConfigError(
                f"Torch(loss={loss!r}) is not known: use one of {', '.join(LOSSES)}, or 'package.module:function'"
            )
        if not optimizer.isidentifier() or not optimizer[0].isupper():
            raise ConfigError(f"Torch(optimizer={optimizer!r}) is no class of torch.optim: use 'AdamW', 'SGD', ...")
        _check_positive("Torch", "epochs", epochs)
        _check_positive("Torch", "batch_size", batch_size)
        merged = {**dict(settings.pop("settings", ())), **settings}
        given = {
            "module": _importable(module, "module"),
            "kwargs": tuple(sorted((k, _freeze(v)) for k, v in dict(kwargs).items())),
            "optimizer": optimizer,
            "loss": loss,
            "loop": None if loop is None else _importable(loop, "loop"),
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": float(lr),
            "settings": tuple(sorted((k, _freeze(v)) for k, v in merged.items())),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the class, JSON-able."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.kwargs}

    def updated(self, **changes: Any) -> Torch:
        """A copy with other values; names that are no field of this class go to `kwargs`."""
        fields = ("optimizer", "loss", "loop", "epochs", "batch_size", "lr")
        ours = {name: changes.pop(name) for name in fields if name in changes}
        return replace(self, kwargs=tuple({**dict(self.kwargs), **changes}.items()), **ours)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        fields = ("module", "optimizer", "loss", "loop", "epochs", "batch_size", "lr")
        found = {"kind": "torch", **{name: getattr(self, name) for name in fields}, **self.options}
        return {**found, "optimizer_settings": dict(self.settings)} if self.settings else found


Trainer = XGBoost | Lightning | Torch


def _check_parameter(name: str) -> None:
    if name in _OURS:
        raise ConfigError(f"XGBoost parameter {name!r} is set by raylake: use {_OURS[name]}")
    if name in XGBOOST_PARAMETERS:
        return
    close = difflib.get_close_matches(name, XGBOOST_PARAMETERS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"XGBoost has no parameter {name!r}: {hint}Known parameters: {', '.join(sorted(XGBOOST_PARAMETERS))}"
    )


def _importable(named: str | type | Callable[..., Any], what: str) -> str:
    path = named if isinstance(named, str) else f"{named.__module__}:{named.__qualname__}"
    if path.count(":") != 1 or "<" in path or path.startswith("__main__"):
        kind = "Class" if what == "module" else "function"
        raise ConfigError(
            f"{what} {path!r} cannot be imported by a worker: "
            f"name a class or function of an importable file as 'package.module:{kind}'"
        )
    return path


def _check_positive(owner: str, name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{owner}({name}={value!r}) is not valid: use a whole number of 1 or more")


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list | tuple) else value
