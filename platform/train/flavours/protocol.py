"""What a model flavour is: how a trained model is stored in its framework's own safe format, and read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Scores = NDArray[np.float64]


class Predictor(Protocol):
    """A loaded model. Implementations are thread-safe and keep no state between calls."""

    def predict(self, matrix: NDArray[np.float32], /) -> Scores:
        """Scores of `matrix`, float32 (n, columns after the recipe), NaN where missing.

        Returns:
            float64 (n,): probability of the second class, or the value; (n, classes) probabilities of several classes.
        """
        ...


@runtime_checkable
class TablePredictor(Protocol):
    """A loaded model that takes named, typed columns, text included. Thread-safe, without state between calls."""

    def predict_table(self, rows: pa.Table, /) -> Scores:
        """Scores of `rows`, the columns after the recipe in order; shapes as `Predictor.predict`."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What a flavour is told about the model folder that it opens.

    Attributes:
        facts: What its `save` returned.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: Number of classes; 0 for regression.
        columns: Columns after the recipe, in order.
        threads: Threads of one prediction.
        trusted: Whether the caller trusts everybody who could write the folder with their machine.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    task: str = "binary"
    classes: int = 2
    columns: tuple[str, ...] = ()
    threads: int = 1
    trusted: bool = False


class Flavour(Protocol):
    """One way to store a model. Implementations have no state.

    What `save` wrote, `load` reads in any other process of any machine that has the same libraries, and the scores are
    the same bit by bit. Neither runs code that a file holds. `raylake.testing.flavours` checks all of it.
    """

    name: str

    def claims(self, model: object) -> bool:
        """Whether `model` is one of this flavour; imports no framework."""
        ...

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write the model's one file into `folder`.

        Args:
            model: What `claims` said yes to.
            folder: An empty folder.
            options: What the model cannot say itself, such as the arguments of a torch module's class.

        Returns:
            JSON-able facts that `load` needs; ``file`` is the name of the file.

        Raises:
            ConfigError: The model cannot be stored without running code when it is loaded; what to do instead.
        """
        ...

    def load(self, folder: Path, stored: Stored) -> Predictor | TablePredictor:
        """Read the model of a folder whose hashes were checked.

        Raises:
            ArtifactCorrupt: The file is not what the flavour writes.
            ConfigError: It holds types that are not known to be safe, a library is missing, or a class is not found.
        """
        ...


def frameworks(model: object) -> set[str]:
    """Top-level packages of the classes of `model`, without importing any.

    Example:
        >>> frameworks(1)
        {'builtins'}
    """
    return {cls.__module__.partition(".")[0] for cls in type(model).__mro__ if cls is not object} or {"builtins"}


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
