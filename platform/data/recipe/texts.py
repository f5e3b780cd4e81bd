"""Operations on text: case, length, hashes, n-grams. Few rows and many go through the same functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..summary.hashing import hash_values

_WORD = re.compile(r"\w+")
# Stands for null where a hash of every row is needed.
_NULL = np.uint64(0x6A09E667F3BCC909)


@dataclass(frozen=True, slots=True)
class ToLower:
    """Lower case without white space at the ends; null stays."""

    text: int

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        values = texts[self.text]
        found = pc.utf8_trim_whitespace(pc.utf8_lower(as_arrow(values)))
        texts[self.text] = found.to_pylist() if isinstance(values, list) else found


@dataclass(frozen=True, slots=True)
class CountCharacters:
    """Length in characters; null to NaN."""

    text: int
    slot: int

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        lengths = pc.utf8_length(as_arrow(texts[self.text]))
        numbers[:, self.slot] = lengths.cast(pa.float64()).to_numpy(zero_copy_only=False)


@dataclass(frozen=True, slots=True)
class HashText:
    """Text to the bucket of its hash; null to NaN."""

    text: int
    slot: int
    buckets: int

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        values = as_arrow(texts[self.text])
        found = np.full(len(values), np.nan)
        found[pc.is_valid(values).to_numpy(zero_copy_only=False)] = hash_values(values) % np.uint64(self.buckets)
        numbers[:, self.slot] = found


@dataclass(frozen=True, slots=True)
class CountNGrams:
    """How many n-grams of a text fall into each bucket; null to 0."""

    text: int
    slots: np.ndarray
    size: int
    words: bool

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        values = texts[self.text]
        rows: list[int] = []
        grams: list[str] = []
        for row, item in enumerate(values if isinstance(values, list) else values.to_pylist()):
            found = n_grams(item, self.size, self.words) if item else []
            grams += found
            rows += [row] * len(found)
        counts = np.zeros((numbers.shape[0], len(self.slots)))
        buckets = hash_values(pa.array(grams, pa.string())) % np.uint64(len(self.slots))
        np.add.at(counts, (np.array(rows, dtype=np.int64), buckets.astype(np.int64)), 1.0)
        numbers[:, self.slots] = counts


def n_grams(text: str, size: int, words: bool) -> list[str]:
    """Runs of 1 to `size` words (joined by a blank) or characters.

    Example:
        >>> n_grams("late again", 2, words=True)
        ['late', 'again', 'late again']
        >>> n_grams("abc", 2, words=False)
        ['a', 'b', 'c', 'ab', 'bc']
    """
    units = _WORD.findall(text) if words else list(text)
    joint = " " if words else ""
    spans = ((start, length) for length in range(1, size + 1) for start in range(len(units) - length + 1))
    return [joint.join(units[start : start + length]) for start, length in spans]


def hash_texts(values: Any) -> Any:
    """A stable hash of each text, uint64; null has one too."""
    array = as_arrow(values)
    found = np.full(len(array), _NULL, dtype=np.uint64)
    found[pc.is_valid(array).to_numpy(zero_copy_only=False)] = hash_values(array)
    return found


def as_arrow(values: Any) -> pa.Array:
    """A list or an Arrow array as an Arrow string array."""
    return pa.array(values, pa.string()) if isinstance(values, list) else values.cast(pa.string())
