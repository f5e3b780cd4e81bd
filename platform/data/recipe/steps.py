"""The steps of a recipe: what each learns from training data.

A step learns in three moves, so that a table and a Dataset learn the same: `partial` summarises one column of one
block, `merge` joins two summaries, `learn` turns the last one into plain JSON values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import pyarrow.compute as pc

from ...core import ConfigError, SchemaMismatch

Strategy = Literal["mean", "median", "constant", "most_frequent"]
CastTo = Literal["float64", "int64", "bool", "string"]
Unseen = Literal["nan", "code"]
# A column of a block while a recipe runs: numbers as float64 with NaN for null, text as Arrow strings.
Column: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Step:
    """One preparation step; see `Impute`, `Scale`, `Ordinal`, `OneHot`, `Cast`.

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

    def partial(self, values: Column) -> Any:
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


@dataclass(frozen=True, slots=True)
class Impute(Step):
    """Replace null (and NaN) by a value.

    Attributes:
        columns: Numeric columns; with ``most_frequent`` and ``constant`` also text.
        strategy: ``mean``, ``median``, ``most_frequent`` (the least of several) or ``constant``.
        value: The constant.

    Example:
        >>> Impute(["age"], "median").strategy
        'median'
    """

    strategy: Strategy = "mean"
    value: float | str | None = None

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if self.strategy not in ("mean", "median", "constant", "most_frequent"):
            raise ConfigError(
                f"strategy={self.strategy!r} of Impute is not valid: use mean, median, most_frequent or constant"
            )
        if (self.strategy == "constant") != (self.value is not None):
            raise ConfigError("Impute needs value= with strategy='constant', and only there")

    def partial(self, values: Column) -> Any:
        """Count and sum, sorted values, or counts per value."""
        if isinstance(values, np.ndarray):
            finite = values[np.isfinite(values)]
            if self.strategy == "mean":
                return len(finite), float(finite.sum())
            if self.strategy == "median":
                return np.sort(finite)
            unique, counts = np.unique(finite, return_counts=True)
            return Counter(dict(zip(unique.tolist(), counts.tolist(), strict=True)))
        if self.strategy != "most_frequent":
            raise SchemaMismatch(f"Impute({self.strategy}) needs numbers, not text: use most_frequent or constant")
        return Counter({item["values"]: item["counts"] for item in pc.value_counts(pc.drop_null(values)).to_pylist()})

    def merge(self, one: Any, other: Any) -> Any:
        """Summary of two blocks."""
        if self.strategy == "mean":
            return one[0] + other[0], one[1] + other[1]
        if self.strategy == "median":
            return np.sort(np.concatenate([one, other]))
        return one + other

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The value that replaces null."""
        empty = summary[0] == 0 if self.strategy == "mean" else len(summary) == 0
        if empty:
            raise SchemaMismatch(
                f"column {column!r} has no value to learn its {self.strategy} from: impute a constant, or leave it out"
            )
        if self.strategy == "mean":
            return {"value": summary[1] / summary[0]}
        if self.strategy == "median":
            return {"value": float(np.median(summary))}
        most = max(summary.values())
        return {"value": min(value for value, count in summary.items() if count == most)}

    def given(self) -> dict[str, Any]:
        """The constant."""
        return {"value": self.value} if self.strategy == "constant" else {}


@dataclass(frozen=True, slots=True)
class Scale(Step):
    """Subtract the mean and divide by the standard deviation (of the population); null stays null.

    Attributes:
        columns: Numeric columns. One that never varies is only centred.

    Example:
        >>> Scale(["age"]).columns
        ('age',)
    """

    def partial(self, values: Column) -> Any:
        """Count, mean and sum of squared differences from it."""
        if not isinstance(values, np.ndarray):
            raise SchemaMismatch("Scale needs numbers, not text: encode the column first")
        finite = values[np.isfinite(values)]
        if len(finite) == 0:
            return 0, 0.0, 0.0
        mean = float(finite.mean())
        return len(finite), mean, float(np.square(finite - mean).sum())

    def merge(self, one: Any, other: Any) -> Any:
        """Chan's formula: exact without a second pass."""
        count = one[0] + other[0]
        if count == 0:
            return one
        apart = other[1] - one[1]
        mean = one[1] + apart * other[0] / count
        return count, mean, one[2] + other[2] + apart * apart * one[0] * other[0] / count

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """Mean and scale."""
        count, mean, squares = summary
        scale = float(np.sqrt(squares / count)) if count else 0.0
        # Rounding leaves a trace of variance in a constant column; dividing by it would blow it up.
        flat = scale <= abs(mean) * 1e-12 or not np.isfinite(scale)
        return {"mean": mean, "scale": 1.0 if flat else scale}


@dataclass(frozen=True, slots=True)
class _Encode(Step):
    def partial(self, values: Column) -> Any:
        """The set of values."""
        if isinstance(values, np.ndarray):
            return set(np.unique(values[np.isfinite(values)]).tolist())
        return set(pc.unique(pc.drop_null(values)).to_pylist())

    def merge(self, one: Any, other: Any) -> Any:
        """Union."""
        return one | other

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The categories, sorted."""
        return {"categories": sorted(summary)}


@dataclass(frozen=True, slots=True)
class Ordinal(_Encode):
    """Replace a category by its place in the sorted list of the categories seen in training.

    Attributes:
        columns: Text or numeric columns. Null becomes NaN.
        unseen: What a category that training did not have becomes: ``nan``, or ``code`` for -1.

    Example:
        >>> Ordinal(["carrier"]).unseen
        'nan'
    """

    unseen: Unseen = "nan"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if self.unseen not in ("nan", "code"):
            raise ConfigError(f"unseen={self.unseen!r} of Ordinal is not valid: use 'nan' or 'code'")


@dataclass(frozen=True, slots=True)
class OneHot(_Encode):
    """Replace a column by one column per category, named ``column=category``, with 1 where it holds.

    Attributes:
        columns: Text or numeric columns. Null and categories that training did not have become 0 everywhere.

    Example:
        >>> OneHot(["carrier"]).columns
        ('carrier',)
    """


@dataclass(frozen=True, slots=True)
class Cast(Step):
    """Read a column as another kind.

    Attributes:
        columns: Columns.
        to: ``float64``, ``int64`` (cuts decimals), ``bool`` (0 or 1) or ``string``. Text that is no number becomes
            NaN.

    Example:
        >>> Cast(["month"], "string").to
        'string'
    """

    learns: ClassVar[bool] = False
    to: CastTo = "float64"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if self.to not in ("float64", "int64", "bool", "string"):
            raise ConfigError(f"to={self.to!r} of Cast is not valid: use float64, int64, bool or string")


STEPS: dict[str, type[Step]] = {"Impute": Impute, "Scale": Scale, "Ordinal": Ordinal, "OneHot": OneHot, "Cast": Cast}
