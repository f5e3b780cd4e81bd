"""`Torch`: a plain PyTorch network, with our loop or your own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..core import ConfigError
from .trainer import Loop, check_positive, freeze, importable

NETWORK_MODULE = "raylake.train.networks:Perceptron"
LOSSES = ("auto", "bce", "cross_entropy", "mse", "l1", "huber")
_FIELDS = ("optimizer", "loss", "loop", "epochs", "batch_size", "lr")
_TASKS = {
    "bce": ("binary",),
    "cross_entropy": ("multiclass",),
    **dict.fromkeys(("mse", "l1", "huber"), ("binary", "regression")),
}


@dataclass(frozen=True, slots=True, init=False)
class Torch:
    """A PyTorch network: our loop with an optimiser and a loss, or a loop of your own.

    The class is called as ``Class(inputs=<number of columns>, task="binary"|"multiclass"|"regression", **kwargs)``,
    with ``classes=<number>`` too when there are several; ``forward(x)`` takes float32 (batch, inputs) and returns
    logits (binary) or values (regression), (batch,), or logits (batch, classes).

    Attributes:
        module: ``package.module:Class`` of an ``nn.Module``, or the class itself.
        kwargs: Further arguments of the class, as pairs or a mapping.
        optimizer: Name in ``torch.optim`` (default ``AdamW``).
        loss: ``auto`` (``bce`` for binary labels, ``cross_entropy`` for several classes, else ``mse``), ``bce``,
            ``cross_entropy``, ``mse``, ``l1``, ``huber``, or ``package.module:function`` that takes outputs and
            labels and returns one loss for each row.
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

    kind: ClassVar[str] = "torch"
    flavour: ClassVar[str] = "torch"
    worker_loop: ClassVar[Loop] = Loop("torch_loop:train_torch", "ray.train.torch:TorchTrainer")
    takes: ClassVar[str] = "dense"

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
        check_positive("Torch", "epochs", epochs)
        check_positive("Torch", "batch_size", batch_size)
        merged = {**dict(settings.pop("settings", ())), **settings}
        given = {
            "module": importable(module, "module"),
            "kwargs": tuple(sorted((k, freeze(v)) for k, v in dict(kwargs).items())),
            "optimizer": optimizer,
            "loss": loss,
            "loop": None if loop is None else importable(loop, "loop"),
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": float(lr),
            "settings": tuple(sorted((k, freeze(v)) for k, v in merged.items())),
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the class, JSON-able."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self.kwargs}

    def task(self) -> str | None:
        """Any: the module is told."""
        return None

    def check(self, task: str) -> None:
        """Raise ConfigError when the loss is not one of the task's."""
        tasks = _TASKS.get(self.loss)
        if tasks is not None and task not in tasks:
            raise ConfigError(
                f"Torch(loss={self.loss!r}) is for {' or '.join(tasks)} labels, and these are {task}: use loss='auto'"
            )

    def updated(self, **changes: Any) -> Torch:
        """A copy with other values; names that are no field of this class go to `kwargs`."""
        ours = {name: changes.pop(name) for name in _FIELDS if name in changes}
        return replace(self, kwargs=tuple({**dict(self.kwargs), **changes}.items()), **ours)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        ours = {name: getattr(self, name) for name in ("module", *_FIELDS)}
        found = {"kind": self.kind, **ours, **self.options}
        return {**found, "optimizer_settings": dict(self.settings)} if self.settings else found

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Torch:
        """The inverse of `to_dict`."""
        ours = {name: found[name] for name in ("module", *_FIELDS)}
        settings = found.get("optimizer_settings", {})
        kwargs = {name: value for name, value in found.items() if name not in ours and name != "optimizer_settings"}
        return cls(kwargs=kwargs, **ours, **settings)
