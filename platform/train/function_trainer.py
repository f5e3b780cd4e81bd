"""`Function`: any function of an importable module as a trainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from ..core import ConfigError
from .flavours.function_flavour import import_path
from .live import log_if_training
from .trainer import Loop


@dataclass(frozen=True, slots=True, init=False)
class Function:
    """A training function of your own.

    It is called as ``function(task, **options)`` with a `FitTask`, in a process of the cluster, and returns the fitted
    model: anything that a flavour stores (an estimator, a booster, a torch module, an ONNX model, a function marked
    with `train.predictor`), or ``(model, {"options": ...})`` when the flavour needs to be told something.

    Attributes:
        function: ``package.module:name``, or the function itself.
        options: Its further arguments, as JSON text.

    Raises:
        ConfigError: No import path, or options without JSON form.

    Example:
        >>> Function("my_models:fit", depth=3).to_dict()
        {'kind': 'function', 'function': 'my_models:fit', 'options': {'depth': 3}}
    """

    kind: ClassVar[str] = "function"
    flavour: ClassVar[str] = ""
    worker_loop: ClassVar[Loop] = Loop("function_loop:train_function")
    takes: ClassVar[str] = "columns"

    function: str
    options: str

    def __init__(self, function: str | Callable[..., Any], **options: Any) -> None:
        path = function if isinstance(function, str) else import_path(function)
        if path.count(":") != 1 or "<" in path or path.startswith("__main__"):
            raise ConfigError(
                f"function {path!r} cannot be imported by a worker: "
                "name a function of an importable file as 'package.module:name'"
            )
        try:
            text = json.dumps(options, sort_keys=True)
        except TypeError as error:
            raise ConfigError(f"options {options} of {path} have no JSON form: {error}") from error
        object.__setattr__(self, "function", path)
        object.__setattr__(self, "options", text)

    def task(self) -> str | None:
        """Any: the function is told."""
        return None

    def check(self, task: str) -> None:
        """Any task."""

    def updated(self, **changes: Any) -> Function:
        """A copy with other options."""
        return Function(self.function, **{**json.loads(self.options), **changes})

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {"kind": self.kind, "function": self.function, "options": json.loads(self.options)}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Function:
        """The inverse of `to_dict`."""
        return cls(found["function"], **found["options"])


@dataclass(frozen=True, slots=True)
class FitTask:
    """What a training function is given.

    Attributes:
        train: Training rows: the input columns after the recipe, if the Spec has one. Nulls as they are.
        labels: Their labels: 0/1, the number of the class, or values; float32.
        valid: Validation rows; without rows when nothing is held out.
        valid_labels: Their labels.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: What the numbers of the classes stand for.
        seed: Seed for everything random.
        threads: Threads that it may use.
        history: Metric name to a value per step; `report` appends.
    """

    train: pa.Table
    labels: Any
    valid: pa.Table
    valid_labels: Any
    task: str
    classes: tuple[int | str, ...]
    seed: int
    threads: int
    history: dict[str, list[float]] = field(default_factory=dict)

    def report(self, **metrics: float) -> None:
        """Append a step's metrics; they appear in the run while it trains."""
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(float(value))
            log_if_training(len(self.history[name]), {name: value})
