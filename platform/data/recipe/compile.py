"""From learned steps to a program: which slot every column has, and which operations run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core import SchemaMismatch
from .program import (
    Cut,
    EncodeNumber,
    EncodeText,
    FillNumbers,
    FillText,
    NumberToText,
    Operation,
    Spread,
    Standardise,
    TextToNumber,
    number_text,
)

Learned = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column is: a slot of the matrix, or of the texts."""

    kind: str
    slot: int


@dataclass(frozen=True, slots=True)
class Program:
    """What `FittedRecipe` runs.

    Attributes:
        inputs: Numeric input column to its slot.
        operations: In order.
        slots: Width of the matrix.
        columns: Columns after the last step, in order, and where they are.
    """

    inputs: Mapping[str, int]
    operations: tuple[Operation, ...]
    slots: int
    columns: Mapping[str, Place]


class _Compiler:
    def __init__(self, inputs: Mapping[str, str]) -> None:
        self.slots = 0
        self.texts = 0
        self.operations: list[Operation] = []
        self.columns: dict[str, Place] = {name: self.new(kind) for name, kind in inputs.items()}
        self.inputs = {name: place.slot for name, place in self.columns.items() if place.kind == "number"}

    def new(self, kind: str) -> Place:
        if kind == "number":
            self.slots += 1
            return Place(kind, self.slots - 1)
        self.texts += 1
        return Place(kind, self.texts - 1)

    def place(self, step: str, column: str) -> Place:
        if column not in self.columns:
            raise SchemaMismatch(f"{step} names column {column!r}, which is not there; there are {list(self.columns)}")
        return self.columns[column]

    def impute(self, learned: Learned) -> None:
        numeric = [name for name in learned["columns"] if self.place("Impute", name).kind == "number"]
        values = learned["values"]
        for name in learned["columns"]:
            if name not in numeric:
                self.operations.append(FillText(self.columns[name].slot, str(values[name]["value"])))
        if numeric:
            try:
                filled = np.array([float(values[name]["value"]) for name in numeric])
            except ValueError as error:
                raise SchemaMismatch(f"Impute of the numeric columns {numeric} needs a number: {error}") from error
            self.operations.append(FillNumbers(self._slots(numeric), filled))

    def scale(self, learned: Learned) -> None:
        names = list(learned["columns"])
        self._numbers_only("Scale", names)
        mean = np.array([learned["values"][name]["mean"] for name in names])
        scale = np.array([learned["values"][name]["scale"] for name in names])
        self.operations.append(Standardise(self._slots(names), mean, scale))

    def ordinal(self, learned: Learned) -> None:
        unseen = -1.0 if learned["unseen"] == "code" else np.nan
        for name in learned["columns"]:
            self.columns[name] = self._encode(name, "Ordinal", learned, unseen)

    def onehot(self, learned: Learned) -> None:
        for name in learned["columns"]:
            code = self._encode(name, "OneHot", learned, np.nan)
            categories = learned["values"][name]["categories"]
            texts = [item if isinstance(item, str) else number_text(float(item)) for item in categories]
            made = {f"{name}={text}": self.new("number") for text in texts}
            self.operations.append(Spread(code.slot, np.array([place.slot for place in made.values()], dtype=int)))
            self._replace(name, made)

    def cast(self, learned: Learned) -> None:
        for name in learned["columns"]:
            place = self.place("Cast", name)
            if learned["to"] == "string" and place.kind == "number":
                self.columns[name] = self.new("text")
                self.operations.append(NumberToText(place.slot, self.columns[name].slot))
            elif learned["to"] != "string":
                if place.kind == "text":
                    self.columns[name] = self.new("number")
                    self.operations.append(TextToNumber(place.slot, self.columns[name].slot))
                if learned["to"] != "float64":
                    self.operations.append(Cut(self._slots([name]), learned["to"] == "bool"))

    def _encode(self, name: str, step: str, learned: Learned, unseen: float) -> Place:
        place = self.place(step, name)
        categories = learned["values"][name]["categories"]
        code = self.new("number")
        if place.kind == "number":
            self.operations.append(EncodeNumber(place.slot, code.slot, np.array(categories, dtype=np.float64), unseen))
        else:
            lookup: dict[str | None, float] = {item: float(index) for index, item in enumerate(categories)}
            lookup[None] = np.nan
            self.operations.append(EncodeText(place.slot, code.slot, lookup, unseen))
        return code

    def _replace(self, name: str, made: Mapping[str, Place]) -> None:
        self.columns = {
            column: place
            for old, at in self.columns.items()
            for column, place in (made.items() if old == name else [(old, at)])
        }

    def _slots(self, names: Sequence[str]) -> np.ndarray:
        return np.array([self.columns[name].slot for name in names], dtype=int)

    def _numbers_only(self, step: str, names: Sequence[str]) -> None:
        text = [name for name in names if self.place(step, name).kind == "text"]
        if text:
            raise SchemaMismatch(f"{step} needs numbers, but columns {text} are text: encode or cast them first")


def compile_program(inputs: Mapping[str, str], steps: Sequence[Learned]) -> Program:
    """Compile learned steps.

    Args:
        inputs: Input column to ``number`` or ``text``, in order.
        steps: What each step learned, with its name under ``step``.

    Raises:
        SchemaMismatch: A step names a column that is not there, or of the wrong kind.
    """
    compiler = _Compiler(inputs)
    for learned in steps:
        getattr(compiler, learned["step"].lower())(learned)
    return Program(compiler.inputs, tuple(compiler.operations), compiler.slots, compiler.columns)
