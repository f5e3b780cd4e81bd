"""Where every column of a recipe is while its steps are compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ...core import SchemaMismatch
from .program import EncodeNumber, EncodeText, Operation

Learned = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column is: a slot of the matrix (kinds ``number`` and ``time``), or of the texts (``text``)."""

    kind: str
    slot: int


class Layout:
    """Columns, slots and operations so far; steps add to it in order."""

    def __init__(self, inputs: Mapping[str, str]) -> None:
        self.slots = 0
        self.texts = 0
        self.operations: list[Operation] = []
        self.columns: dict[str, Place] = {name: self.new(kind) for name, kind in inputs.items()}
        self.inputs = {name: place.slot for name, place in self.columns.items() if place.kind != "text"}
        self.fold = self.new("number").slot

    def new(self, kind: str) -> Place:
        """A free slot."""
        if kind == "text":
            self.texts += 1
            return Place(kind, self.texts - 1)
        self.slots += 1
        return Place(kind, self.slots - 1)

    def place(self, step: str, column: str, *kinds: str) -> Place:
        """Where a column is, which must be of one of these kinds.

        Raises:
            SchemaMismatch: It is not there, or of another kind.
        """
        if column not in self.columns:
            raise SchemaMismatch(f"{step} names column {column!r}, which is not there; there are {list(self.columns)}")
        place = self.columns[column]
        if place.kind in kinds:
            return place
        if place.kind == "time":
            raise SchemaMismatch(f"{step} cannot take column {column!r}, a time: take numbers from it by DateParts")
        if place.kind == "text":
            raise SchemaMismatch(f"{step} needs numbers, but column {column!r} is text: encode or cast it first")
        raise SchemaMismatch(f"{step} needs {' or '.join(kinds)}, but column {column!r} is numeric")

    def numbers(self, step: str, names: Sequence[str]) -> np.ndarray:
        """Slots of numeric columns."""
        return np.array([self.place(step, name, "number").slot for name in names], dtype=int)

    def code(self, step: str, name: str, categories: Sequence[Any], unseen: float) -> Place:
        """A new slot with the place of a column's value among `categories`."""
        place = self.place(step, name, "number", "text")
        code = self.new("number")
        if place.kind == "number":
            self.operations.append(EncodeNumber(place.slot, code.slot, np.array(categories, dtype=np.float64), unseen))
        else:
            lookup: dict[str | None, float] = {item: float(index) for index, item in enumerate(categories)}
            lookup[None] = np.nan
            self.operations.append(EncodeText(place.slot, code.slot, lookup, unseen))
        return code

    def replace(self, name: str, made: Mapping[str, Place]) -> None:
        """Put columns where one was.

        Raises:
            SchemaMismatch: There is a column of one of these names already.
        """
        twice = [column for column in made if column in self.columns and column != name]
        if twice:
            raise SchemaMismatch(f"column {name!r} would make columns {twice}, which are there already: rename them")
        self.columns = {
            column: place
            for old, at in self.columns.items()
            for column, place in (made.items() if old == name else [(old, at)])
        }


def kind_of(entry: pa.Field) -> str:
    """What a column is to a recipe: ``number``, ``text`` or ``time``.

    Raises:
        SchemaMismatch: Of a type that a recipe cannot take.
    """
    dtype = entry.type.value_type if pa.types.is_dictionary(entry.type) else entry.type
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return "text"
    if pa.types.is_boolean(dtype) or pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        return "number"
    if pa.types.is_decimal(dtype) or pa.types.is_null(dtype):
        return "number"
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return "time"
    raise SchemaMismatch(
        f"column {entry.name!r} is {entry.type}, which a model cannot take: derive numbers from it, or leave it out"
    )
