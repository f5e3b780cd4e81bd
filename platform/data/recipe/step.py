"""What every step of a recipe is.

A step learns in three moves, so that a table and a Dataset learn the same: `partial` summarises one column of one
block, `merge` joins two summaries, `learn` turns the last one into plain JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ...core import ConfigError, SchemaMismatch

# A column of a block while a recipe runs: numbers as float64 with NaN for null, text as Arrow strings.
Column: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Step:
    """One preparation step of a recipe; the subclasses are what a `Recipe` takes.

    Attributes:
        columns: The columns it changes.
    """

    columns: Sequence[str]
    learns: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if isinstance(self.columns, str) or not self.columns:
            raise ConfigError(
                f"columns={self.columns!r} of {type(self).__name__} is not a list of columns: use ['name']"
            )
        object.__setattr__(self, "columns", tuple(self.columns))

    @property
    def reads(self) -> tuple[str, ...]:
        """Other columns, which `partial` gets after the first."""
        return ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns that are there when the recipe is fitted, and not when it is applied."""
        return ()

    @property
    def takes_times(self) -> bool:
        """Whether `partial` may get times, as ``datetime64[us]``."""
        return False

    def partial(self, values: Column, *others: Column) -> Any:
        """Summary of one column of one block."""
        raise NotImplementedError

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        raise NotImplementedError

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """What the step must know about a column, as JSON values."""
        raise NotImplementedError

    def given(self) -> dict[str, Any]:
        """What is known about every column without data, as JSON values."""
        return {}

    def learned(self, summaries: Mapping[str, Any] | None) -> dict[str, Any]:
        """The step with its settings and what it knows, as JSON values; `summaries` is ``None`` where none are needed.

        Args:
            summaries: Column to the merged summary.
        """
        given = self.given()
        values = {name: given if summaries is None else self.learn(name, summaries[name]) for name in self.columns}
        settings = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"step": type(self).__name__, **settings, "values": values}

    def finite(self, values: Column) -> Any:
        """The finite values of a numeric column.

        Raises:
            SchemaMismatch: The column is text.
        """
        if not isinstance(values, np.ndarray):
            raise SchemaMismatch(f"{type(self).__name__} needs numbers, not text: encode the column or cast it first")
        return values[np.isfinite(values)]


def one_of(step: Step, name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuse a setting that is not among those allowed.

    Raises:
        ConfigError: It is not.
    """
    if value not in allowed:
        listed = ", ".join(map(repr, allowed))
        raise ConfigError(f"{name}={value!r} of {type(step).__name__} is not valid: use one of {listed}")
