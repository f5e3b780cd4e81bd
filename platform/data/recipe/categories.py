"""Steps for categories: codes, indicators, hashes, target means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow.compute as pc

from ...core import ConfigError, SchemaMismatch
from .step import Column, Step

Unseen = Literal["nan", "code"]
# A category with so many rows is in more than one fold, unless its rows are all alike.
_MANY = 20


@dataclass(frozen=True, slots=True)
class _Encode(Step):
    def partial(self, values: Column, *others: Column) -> Any:
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
class HashEncode(Step):
    """Replace a column of many categories by a few columns ``column#0``, ``column#1``, ...: 1 where its hash falls.

    Nothing is learned, so a new category is like any other. Two categories may fall together.

    Attributes:
        columns: Text or numeric columns. Null becomes 0 everywhere.
        buckets: How many columns.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> fitted = Recipe([HashEncode(["plane"], buckets=4)]).fit(pa.table({"plane": ["N1", "N2"]}))
        >>> fitted.apply_columns({"plane": ["N1", "new", None]}).sum(axis=1).tolist()
        [1.0, 1.0, 0.0]
    """

    learns: ClassVar[bool] = False
    buckets: int = 32

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        check_buckets(self, self.buckets)


@dataclass(frozen=True, slots=True)
class TargetEncode(Step):
    """Replace a category by the smoothed mean of the target in its rows (Micci-Barreca, SIGKDD 2001).

    Rows that the recipe is fitted on would know their own target: `FittedRecipe.apply_training` encodes each from the
    rows of the other folds. A row's fold is a hash of its input columns, so it is the same in a slice, on
    another worker, and for rows that are equal.

    Attributes:
        columns: Text or numeric columns. Null and categories that training did not have get the mean of all rows.
        target: The label: a numeric or boolean column of the data that the recipe is fitted on. It is not an input.
        smoothing: How many rows of the overall mean are added to each category.
        folds: How many folds; 1 encodes the training rows as all others, with their own target inside.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe
        >>> train = pa.table({"carrier": ["UA", "UA", "AA", "AA"], "late": [1, 1, 0, 0]})
        >>> fitted = Recipe([TargetEncode(["carrier"], "late", smoothing=2)]).fit(train)
        >>> fitted.input_columns, fitted.apply_columns({"carrier": ["UA", "AA", "new"]}).tolist()
        (('carrier',), [[0.75], [0.25], [0.5]])
    """

    target: str = ""
    smoothing: float = 10.0
    folds: int = 5

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if not self.target or self.target in self.columns:
            raise ConfigError(f"target={self.target!r} of TargetEncode is not the name of another column, the label")
        if not self.smoothing >= 0 or not 1 <= self.folds <= 100:
            raise ConfigError("TargetEncode needs smoothing= of 0 or more, and folds= from 1 to 100")

    @property
    def targets(self) -> tuple[str, ...]:
        """The label."""
        return (self.target,)

    def partial(self, values: Column, *others: Column) -> Any:
        """Category (``None`` for all rows) to an array (folds, 2): count and sum of the target."""
        target, rows = others
        kept = np.isfinite(target)
        folds = (rows % self.folds).astype(np.int64)
        names, codes = _codes(values)
        cells = codes * self.folds + folds
        shape = (len(names) + 1, self.folds)
        chosen = cells[kept]
        counts = np.bincount(chosen, minlength=shape[0] * shape[1]).reshape(shape)
        sums = np.bincount(chosen, target[kept], minlength=shape[0] * shape[1]).reshape(shape)
        table = np.stack([counts, sums], axis=-1).astype(np.float64)
        found: dict[Any, Any] = {name: table[at] for at, name in enumerate(names) if table[at, :, 0].any()}
        return {None: table.sum(axis=0), **found}

    def merge(self, one: Any, other: Any) -> Any:
        """Sums add up."""
        both = {**one, **other}
        return {key: one[key] + other[key] if key in one and key in other else both[key] for key in both}

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """Encodings and the mean of all rows, with all folds and without each."""
        whole = summary[None]
        if not whole[:, 0].sum():
            raise SchemaMismatch(f"the target {self.target!r} has no value to encode column {column!r} by")
        names = sorted(key for key in summary if key is not None)
        table = np.stack([summary[name] for name in names]) if names else np.zeros((0, self.folds, 2))
        self._check_folds(column, table, whole[:, 0])
        mean, encoded = self._encoded(table.sum(axis=1), whole.sum(axis=0))
        learned: dict[str, Any] = {"categories": names, "mean": mean, "encoded": encoded, "without_fold": []}
        for fold in range(self.folds) if self.folds > 1 else ():
            mean_without, others = self._encoded(table.sum(axis=1) - table[:, fold], whole.sum(axis=0) - whole[fold])
            learned["without_fold"].append({"mean": mean_without, "encoded": others})
        return learned

    def _encoded(self, table: Any, whole: Any) -> tuple[float, list[float]]:
        mean = float(whole[1] / whole[0])
        weight = table[:, 0] + self.smoothing
        encoded = np.where(weight > 0, (table[:, 1] + self.smoothing * mean) / np.where(weight > 0, weight, 1.0), mean)
        return mean, encoded.tolist()

    def _check_folds(self, column: str, table: Any, rows: Any) -> None:
        counts = table[:, :, 0]
        alike = (counts.sum(axis=1) >= _MANY) & (counts.max(axis=1, initial=0) == counts.sum(axis=1))
        if self.folds > 1 and (rows.max() == rows.sum() or counts[alike].sum() > 0.5 * rows.sum()):
            raise SchemaMismatch(
                f"rows that share a value of {column!r} are too few, or alike in every input column, so folds cannot "
                "separate them: give the recipe a column that tells rows apart, or use TargetEncode(..., folds=1)"
            )


def check_buckets(step: Step, buckets: int) -> None:
    """Refuse a number of buckets that cannot be meant.

    Raises:
        ConfigError: It is not a whole number from 2 to 65,536.
    """
    if not isinstance(buckets, int) or not 2 <= buckets <= 65_536:
        raise ConfigError(f"buckets={buckets!r} of {type(step).__name__} is not a whole number from 2 to 65536")


def _codes(values: Column) -> tuple[list[Any], Any]:
    """Categories, and each row's place among them; null is one more."""
    if isinstance(values, np.ndarray):
        present = np.isfinite(values)
        unique, places = np.unique(values[present], return_inverse=True)
        names = unique.tolist()
    else:
        present = pc.is_valid(values).to_numpy(zero_copy_only=False)
        encoded = pc.drop_null(values).dictionary_encode()
        names, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
    codes = np.full(len(values), len(names), dtype=np.int64)
    codes[present] = places
    return names, codes
