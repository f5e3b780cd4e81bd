"""Operations on numbers beyond the first ones of `program`.

Each works on contiguous arrays, element by element, so that one row takes the same path through numpy as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..summary.hashing import mixed
from .numeric import yeo_johnson


@dataclass(frozen=True, slots=True)
class Limit:
    """Bring values back to limits, or make those outside NaN; NaN stays."""

    slots: np.ndarray
    low: np.ndarray
    high: np.ndarray
    drop: bool

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        block = numbers[:, self.slots]
        if self.drop:
            numbers[:, self.slots] = np.where((block < self.low) | (block > self.high), np.nan, block)
        else:
            numbers[:, self.slots] = np.clip(block, self.low, self.high)


@dataclass(frozen=True, slots=True)
class ShiftedLog:
    """``log1p(x + shift)``, 0 below; NaN stays."""

    slots: np.ndarray
    shift: np.ndarray

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        block = np.ascontiguousarray(numbers[:, self.slots])
        numbers[:, self.slots] = np.log1p(np.maximum(block + self.shift, 0.0))


@dataclass(frozen=True, slots=True)
class Bend:
    """Yeo and Johnson's transformation; NaN stays."""

    slots: np.ndarray
    exponents: np.ndarray

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        numbers[:, self.slots] = yeo_johnson(np.ascontiguousarray(numbers[:, self.slots]), self.exponents)


@dataclass(frozen=True, slots=True)
class FillByGroup:
    """Replace NaN by the value of the row's group; a group without code has the last value."""

    slot: int
    code: int
    values: np.ndarray

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        block = numbers[:, self.slot]
        numbers[:, self.slot] = np.where(np.isnan(block), self.values[_places(numbers[:, self.code])], block)


@dataclass(frozen=True, slots=True)
class FillTextByGroup:
    """Replace null text by the value of the row's group; a group without code has the last value."""

    text: int
    code: int
    values: Sequence[str]

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        values, places = texts[self.text], _places(numbers[:, self.code])
        if isinstance(values, list):
            pairs = zip(values, places.tolist(), strict=True)
            texts[self.text] = [self.values[place] if item is None else item for item, place in pairs]
        else:
            fills = pa.array(self.values, pa.string()).take(pa.array(places % len(self.values)))
            texts[self.text] = pc.coalesce(values.cast(pa.string()), fills)


@dataclass(frozen=True, slots=True)
class LookUp:
    """A category's code to its value, by the fold that the row is left out of (-1: of none).

    Attributes:
        source: Slot of the code; NaN for a category that is not known.
        fold: Slot of the row's number, or -1.
        slot: Slot of the value.
        values: (folds + 1, categories + 1): last row without any fold left out, last column for unknown categories.
    """

    source: int
    fold: int
    slot: int
    values: np.ndarray

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        rows, folds = numbers[:, self.fold], len(self.values) - 1
        chosen = np.where(rows < 0, folds, rows % folds if folds else 0).astype(np.int64)
        numbers[:, self.slot] = self.values[chosen, _places(numbers[:, self.source])]


@dataclass(frozen=True, slots=True)
class HashNumber:
    """A number to the bucket of its hash; NaN stays."""

    source: int
    slot: int
    buckets: int

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        values = numbers[:, self.source]
        numbers[:, self.slot] = np.where(np.isnan(values), np.nan, hash_numbers(values) % np.uint64(self.buckets))


def hash_numbers(values: Any) -> Any:
    """A stable hash of each number, uint64; all NaN are one value, and so are 0.0 and -0.0.

    Example:
        >>> one, two = hash_numbers(np.array([0.0, -0.0]))
        >>> bool(one == two)
        True
    """
    clean = np.where(np.isnan(values), np.nan, values) + 0.0
    return mixed(np.ascontiguousarray(clean).view(np.uint64))


def _places(codes: Any) -> Any:
    """Codes as places, NaN as the last one."""
    return np.where(np.isnan(codes), -1.0, codes).astype(np.int64)
