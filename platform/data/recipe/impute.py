"""Filling gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...core import ConfigError, SchemaMismatch
from .step import Column, Step

Strategy = Literal["mean", "median", "constant", "most_frequent"]


@dataclass(frozen=True, slots=True)
class Impute(Step):
    """Replace null (and NaN) by a value, of the whole column or of the row's group.

    Attributes:
        columns: Numeric columns; with ``most_frequent`` and ``constant`` also text.
        strategy: ``mean``, ``median``, ``most_frequent`` (the least of several) or ``constant``.
        value: The constant.
        by: A text or numeric column: each of its values has a mean (median, ...) of its own. Rows whose group is null,
            was not seen in training, or had no value there, get that of the whole column.

    Example:
        >>> from raylake.data import Recipe
        >>> train = pa.table({"plane": [1.0, 2.0, 2.0], "delay": [10.0, 30.0, None]})
        >>> Recipe([Impute(["delay"], by="plane")]).fit(train).apply_columns({"plane": [2, 7], "delay": [None, None]})
        array([[ 2., 30.],
               [ 7., 20.]], dtype=float32)
    """

    strategy: Strategy = "mean"
    value: float | str | None = None
    by: str | None = None

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        if self.strategy not in ("mean", "median", "constant", "most_frequent"):
            raise ConfigError(
                f"strategy={self.strategy!r} of Impute is not valid: use mean, median, most_frequent or constant"
            )
        if (self.strategy == "constant") != (self.value is not None):
            raise ConfigError("Impute needs value= with strategy='constant', and only there")
        if self.by is not None and (self.strategy == "constant" or self.by in self.columns):
            raise ConfigError(f"by={self.by!r} of Impute needs another strategy than constant, and another column")

    @property
    def reads(self) -> tuple[str, ...]:
        """The column of the groups."""
        return () if self.by is None else (self.by,)

    def partial(self, values: Column, *others: Column) -> Any:
        """Count and sum, sorted values, or counts per value; with groups, a dictionary of them (``None`` for all)."""
        if self.by is None:
            return self._partial(values)
        return {key: self._partial(part) for key, part in _groups(values, others[0])}

    def _partial(self, values: Column) -> Any:
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
        if self.by is None:
            return self._merge(one, other)
        both = {**one, **other}
        return {key: self._merge(one[key], other[key]) if key in one and key in other else both[key] for key in both}

    def _merge(self, one: Any, other: Any) -> Any:
        if self.strategy == "mean":
            return one[0] + other[0], one[1] + other[1]
        if self.strategy == "median":
            return np.sort(np.concatenate([one, other]))
        return one + other

    def learn(self, column: str, summary: Any) -> dict[str, Any]:
        """The value that replaces null, and those of the groups."""
        whole = self._learn(summary if self.by is None else summary[None])
        if whole is None:
            raise SchemaMismatch(
                f"column {column!r} has no value to learn its {self.strategy} from: impute a constant, or leave it out"
            )
        if self.by is None:
            return {"value": whole}
        learned = ((key, self._learn(summary[key])) for key in sorted(key for key in summary if key is not None))
        return {"value": whole, "groups": [[key, value] for key, value in learned if value is not None]}

    def _learn(self, summary: Any) -> float | str | None:
        if self.strategy == "mean":
            return summary[1] / summary[0] if summary[0] else None
        if not len(summary):
            return None
        if self.strategy == "median":
            return float(np.median(summary))
        most = max(summary.values())
        least: float | str = min(value for value, count in summary.items() if count == most)
        return least

    def given(self) -> dict[str, Any]:
        """The constant."""
        return {"value": self.value} if self.strategy == "constant" else {}


def _groups(values: Column, keys: Column) -> Iterator[tuple[Any, Column]]:
    """All values under ``None``, then those of each group that is not null."""
    yield None, values
    if isinstance(keys, np.ndarray):
        present = np.flatnonzero(np.isfinite(keys))
        unique, codes = np.unique(keys[present], return_inverse=True)
        names = unique.tolist()
    else:
        present = np.flatnonzero(pc.is_valid(keys).to_numpy(zero_copy_only=False))
        encoded = pc.drop_null(keys).dictionary_encode()
        codes, names = encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()
    order = np.argsort(codes, kind="stable")
    ends: Any = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1] if len(names) else []
    for name, places in zip(names, np.split(present[order], ends), strict=len(names) > 0):
        yield name, values[places] if isinstance(values, np.ndarray) else values.take(pa.array(places))
