"""Running a fitted recipe: numbers in one matrix, text in lists, and operations on both.

Every operation treats each row on its own, so one row and a million rows get the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...core import SchemaMismatch
from .dates import time_column

Texts = list[Any]
# Up to here a Python loop over a dictionary is faster than a call into Arrow.
_FEW = 64


class Operation(Protocol):
    """Changes the frame in place."""

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """`numbers` is (rows, slots) float64; `texts` has a list or an Arrow string array per text slot."""


@dataclass(frozen=True, slots=True)
class FillNumbers:
    """Replace NaN in some slots."""

    slots: np.ndarray
    values: np.ndarray

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        block = numbers[:, self.slots]
        numbers[:, self.slots] = np.where(np.isnan(block), self.values, block)


@dataclass(frozen=True, slots=True)
class Standardise:
    """Subtract and divide in some slots."""

    slots: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        numbers[:, self.slots] = (numbers[:, self.slots] - self.mean) / self.scale


@dataclass(frozen=True, slots=True)
class FillText:
    """Replace null in a text slot."""

    text: int
    value: str

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        values = texts[self.text]
        if isinstance(values, list):
            texts[self.text] = [self.value if item is None else item for item in values]
        else:
            texts[self.text] = pc.fill_null(values, self.value)


@dataclass(frozen=True, slots=True)
class EncodeText:
    """Text to its category's code; null to NaN."""

    text: int
    slot: int
    lookup: Mapping[str | None, float]
    unseen: float

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        values = texts[self.text]
        if isinstance(values, list):
            get, unseen = self.lookup.get, self.unseen
            numbers[:, self.slot] = [get(item, unseen) for item in values]
            return
        known = pa.array([key for key in self.lookup if key is not None], pa.string())
        places = pc.index_in(values, value_set=known)
        codes = places.cast(pa.float64()).to_numpy(zero_copy_only=False).copy()
        codes[np.isnan(codes)] = self.unseen
        codes[pc.is_null(values).to_numpy(zero_copy_only=False)] = np.nan
        numbers[:, self.slot] = codes


@dataclass(frozen=True, slots=True)
class EncodeNumber:
    """A number to its category's code; NaN stays."""

    source: int
    slot: int
    categories: np.ndarray
    unseen: float

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        values = numbers[:, self.source]
        codes = np.full(len(values), self.unseen)
        if len(self.categories):
            places = np.minimum(np.searchsorted(self.categories, values), len(self.categories) - 1)
            codes = np.where(self.categories[places] == values, places, self.unseen)
        numbers[:, self.slot] = np.where(np.isnan(values), np.nan, codes)


@dataclass(frozen=True, slots=True)
class Spread:
    """A code to one slot per category, 1 where it holds."""

    source: int
    slots: np.ndarray

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        numbers[:, self.slots] = numbers[:, self.source, None] == np.arange(len(self.slots))


@dataclass(frozen=True, slots=True)
class NumberToText:
    """Numbers written as text; whole ones without a decimal point, NaN as null."""

    source: int
    text: int

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        texts[self.text] = [number_text(value) for value in numbers[:, self.source].tolist()]


@dataclass(frozen=True, slots=True)
class TextToNumber:
    """Text read as numbers; what is none becomes NaN."""

    text: int
    slot: int

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        values = texts[self.text]
        items = values if isinstance(values, list) else values.to_pylist()
        numbers[:, self.slot] = [_number(item) for item in items]


@dataclass(frozen=True, slots=True)
class Cut:
    """Numbers cut to whole ones, or to 0 and 1; NaN stays."""

    slots: np.ndarray
    truth: bool

    def run(self, numbers: np.ndarray, texts: Texts) -> None:
        """In place."""
        block = numbers[:, self.slots]
        numbers[:, self.slots] = np.where(np.isnan(block), np.nan, block != 0) if self.truth else np.trunc(block)


def number_text(value: float) -> str | None:
    """A number as text: ``1`` for 1.0, ``None`` for NaN.

    Example:
        >>> number_text(1.0), number_text(1.5), number_text(float("nan"))
        ('1', '1.5', None)
    """
    if value != value:
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _number(item: str | None) -> float:
    try:
        return float(item) if item is not None else np.nan
    except ValueError:
        return np.nan


def load(
    columns: Mapping[str, Any], inputs: Mapping[str, str], number_slots: Mapping[str, int], slots: int
) -> tuple[np.ndarray, Texts]:
    """The frame of the input columns: a (rows, slots) matrix, and the text columns in order.

    Args:
        columns: Column to a list, a numpy array or an Arrow array.
        inputs: Column to ``number``, ``text`` or ``time``.
        number_slots: Column that is no text to its slot in the matrix.
        slots: Width of the matrix.

    Raises:
        SchemaMismatch: A column is missing, has another length, or holds text where numbers belong.
    """
    missing = [name for name in inputs if name not in columns]
    if missing:
        raise SchemaMismatch(f"columns {missing} are missing; the recipe needs {list(inputs)}")
    rows = len(columns[next(iter(inputs))]) if inputs else 0
    numbers = np.empty((rows, slots), dtype=np.float64)
    texts: Texts = []
    for name, kind in inputs.items():
        values = columns[name]
        if len(values) != rows:
            raise SchemaMismatch(f"column {name!r} has {len(values)} rows, the others {rows}")
        if kind == "text":
            texts.append(text_column(name, values))
        elif kind == "time":
            numbers[:, number_slots[name]] = time_column(name, values)
        else:
            numbers[:, number_slots[name]] = number_column(name, values)
    return numbers, texts


def number_column(name: str, values: Any) -> Any:
    """Values as something that numpy assigns to float64, null as NaN."""
    if isinstance(values, list):
        if any(isinstance(item, str) for item in values):
            raise SchemaMismatch(f"column {name!r} holds text where the recipe needs numbers: correct its type")
        return [np.nan if item is None else item for item in values]
    if isinstance(values, np.ndarray):
        return number_column(name, values.tolist()) if values.dtype.kind not in "fiub" else values
    try:
        return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(f"column {name!r} is {values.type} where the recipe needs numbers: {error}") from error


def text_column(name: str, values: Any) -> Any:
    """Values as a list (few) or an Arrow string array (many)."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        if any(item is not None and not isinstance(item, str) for item in values):
            raise SchemaMismatch(f"column {name!r} holds numbers where the recipe needs text: correct its type")
        return values if len(values) <= _FEW else pa.array(values, pa.string())
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(f"column {name!r} is {values.type} where the recipe needs text: {error}") from error
