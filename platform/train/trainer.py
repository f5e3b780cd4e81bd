"""What every trainer is: a frozen description of how to fit, and where its loop lives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from ..core import ConfigError


@dataclass(frozen=True, slots=True)
class Loop:
    """Where the code of a trainer is; imported by the worker only.

    Attributes:
        path: ``module:function`` below `raylake.train`, called as ``function(job) -> Fitted`` on each worker.
        group: Ray Train's trainer that starts several workers, ``module:Class``; ``""`` when one process leads and
            spreads its own work over the cluster.
    """

    path: str
    group: str = ""

    def function(self) -> Any:
        """Import the loop."""
        module, _, name = self.path.partition(":")
        return getattr(importlib.import_module(f".{module}", __package__), name)

    def group_trainer(self) -> Any:
        """Import Ray Train's trainer."""
        module, _, name = self.group.partition(":")
        return getattr(importlib.import_module(module), name)


@runtime_checkable
class Trainer(Protocol):
    """How to fit: a frozen, hashable, picklable value that compares by its content.

    Attributes:
        kind: Short name, the ``kind`` of `to_dict`.
        flavour: Flavour of the models that it makes; ``""`` when only the fitted model tells.
        worker_loop: Where its code is.
        takes: ``numbers``: the matrix after the recipe, text encoded by default. ``dense``: as numbers, without
            missing values, scaled. ``columns``: the columns as they are.
    """

    kind: ClassVar[str]
    flavour: ClassVar[str]
    worker_loop: ClassVar[Loop]

    @property
    def takes(self) -> str:
        """What the trainer is fed with."""
        ...

    def task(self) -> str | None:
        """The task that its settings ask for, or ``None``."""
        ...

    def check(self, task: str) -> None:
        """Raise ConfigError unless it suits `task`."""
        ...

    def updated(self, **changes: Any) -> Trainer:
        """A copy with other parameters."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy, ``kind`` included."""
        ...

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Trainer:
        """The inverse of `to_dict`; `found` is without ``kind``."""
        ...


def check_positive(owner: str, name: str, value: object) -> None:
    """Raise ConfigError unless `value` is a whole number of 1 or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{owner}({name}={value!r}) is not valid: use a whole number of 1 or more")


def importable(named: str | type | Callable[..., Any], what: str) -> str:
    """Import path of a ``module`` (a class) or of a function.

    Raises:
        ConfigError: A worker could not import it.
    """
    path = named if isinstance(named, str) else f"{named.__module__}:{named.__qualname__}"
    if path.count(":") != 1 or "<" in path or path.startswith("__main__"):
        kind = "Class" if what == "module" else "function"
        raise ConfigError(
            f"{what} {path!r} cannot be imported by a worker: "
            f"name a class or function of an importable file as 'package.module:{kind}'"
        )
    return path


def freeze(value: Any) -> Any:
    """Lists and tuples as tuples, all the way down."""
    return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value
