"""From learned steps to a program: which slot every column has, and which operations run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core import SchemaMismatch
from .custom import compile_custom
from .dates import PARTS, TakeParts
from .enrich import compile_enrich
from .layout import Layout, Learned, Place
from .program import (
    Cut,
    FillNumbers,
    FillText,
    NumberToText,
    Operation,
    Spread,
    Standardise,
    TextToNumber,
    number_text,
)
from .rows import compile_deduplicate, compile_validate
from .texts import CountCharacters, CountNGrams, HashText, ToLower
from .transforms import Bend, FillByGroup, FillTextByGroup, HashNumber, Limit, LookUp, ShiftedLog


@dataclass(frozen=True, slots=True)
class Program:
    """What `FittedRecipe` runs.

    Attributes:
        inputs: Input column that is no text to its slot.
        operations: In order.
        slots: Width of the matrix.
        texts: Number of text slots.
        fold: The slot of the row's number, for encodings that leave a fold out.
        columns: Columns after the last step, in order, and where they are.
    """

    inputs: Mapping[str, int]
    operations: tuple[Operation, ...]
    slots: int
    texts: int
    fold: int
    columns: Mapping[str, Place]


def _impute(layout: Layout, learned: Learned) -> None:
    if learned.get("by") is not None:
        return _impute_by_group(layout, learned)
    names, values = learned["columns"], learned["values"]
    places = {name: layout.place("Impute", name, "number", "text") for name in names}
    numeric = [name for name in names if places[name].kind == "number"]
    for name in names:
        if name not in numeric:
            layout.operations.append(FillText(places[name].slot, str(values[name]["value"])))
    if numeric:
        try:
            filled = np.array([float(values[name]["value"]) for name in numeric])
        except ValueError as error:
            raise SchemaMismatch(f"Impute of the numeric columns {numeric} needs a number: {error}") from error
        layout.operations.append(FillNumbers(layout.numbers("Impute", numeric), filled))
    return None


def _impute_by_group(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        place, values = layout.place("Impute", name, "number", "text"), learned["values"][name]
        code = layout.code("Impute", learned["by"], [key for key, _ in values["groups"]], np.nan)
        fills = [value for _, value in values["groups"]] + [values["value"]]
        if place.kind == "number":
            layout.operations.append(FillByGroup(place.slot, code.slot, np.array(fills, dtype=np.float64)))
        else:
            layout.operations.append(FillTextByGroup(place.slot, code.slot, fills))


def _scale(layout: Layout, learned: Learned) -> None:
    names, values = learned["columns"], learned["values"]
    centre = "mean" if learned.get("method", "standard") == "standard" else "center"
    slots = layout.numbers("Scale", names)
    mean = np.array([values[name][centre] for name in names])
    layout.operations.append(Standardise(slots, mean, np.array([values[name]["scale"] for name in names])))


def _clip(layout: Layout, learned: Learned) -> None:
    names, values = learned["columns"], learned["values"]
    low = np.array([-np.inf if values[name]["low"] is None else values[name]["low"] for name in names])
    high = np.array([np.inf if values[name]["high"] is None else values[name]["high"] for name in names])
    layout.operations.append(Limit(layout.numbers("Clip", names), low, high, learned["to"] == "null"))


def _log(layout: Layout, learned: Learned) -> None:
    shift = np.array([learned["values"][name]["shift"] for name in learned["columns"]])
    layout.operations.append(ShiftedLog(layout.numbers("Log", learned["columns"]), shift))


def _yeo_johnson(layout: Layout, learned: Learned) -> None:
    exponents = np.array([learned["values"][name]["lambda"] for name in learned["columns"]])
    layout.operations.append(Bend(layout.numbers("YeoJohnson", learned["columns"]), exponents))


def _ordinal(layout: Layout, learned: Learned) -> None:
    unseen = -1.0 if learned["unseen"] == "code" else np.nan
    for name in learned["columns"]:
        layout.columns[name] = layout.code("Ordinal", name, learned["values"][name]["categories"], unseen)


def _one_hot(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        categories = learned["values"][name]["categories"]
        code = layout.code("OneHot", name, categories, np.nan)
        texts = [item if isinstance(item, str) else number_text(float(item)) for item in categories]
        _spread(layout, name, code, [f"{name}={text}" for text in texts])


def _hash_encode(layout: Layout, learned: Learned) -> None:
    buckets = learned["buckets"]
    for name in learned["columns"]:
        place, code = layout.place("HashEncode", name, "number", "text"), layout.new("number")
        hashing = HashNumber if place.kind == "number" else HashText
        layout.operations.append(hashing(place.slot, code.slot, buckets))
        _spread(layout, name, code, [f"{name}#{bucket}" for bucket in range(buckets)])


def _spread(layout: Layout, name: str, code: Place, names: Sequence[str]) -> None:
    made = {column: layout.new("number") for column in names}
    layout.operations.append(Spread(code.slot, np.array([place.slot for place in made.values()], dtype=int)))
    layout.replace(name, made)


def _target_encode(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        values = learned["values"][name]
        code = layout.code("TargetEncode", name, values["categories"], np.nan)
        rows = [[*row["encoded"], row["mean"]] for row in (*values["without_fold"], values)]
        layout.columns[name] = layout.new("number")
        layout.operations.append(LookUp(code.slot, layout.fold, layout.columns[name].slot, np.array(rows)))


def _cast(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        place = layout.place("Cast", name, "number", "text")
        if learned["to"] == "string" and place.kind == "number":
            layout.columns[name] = layout.new("text")
            layout.operations.append(NumberToText(place.slot, layout.columns[name].slot))
        elif learned["to"] != "string":
            if place.kind == "text":
                layout.columns[name] = layout.new("number")
                layout.operations.append(TextToNumber(place.slot, layout.columns[name].slot))
            if learned["to"] != "float64":
                layout.operations.append(Cut(layout.numbers("Cast", [name]), learned["to"] == "bool"))


def _date_parts(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        place = layout.place("DateParts", name, "time")
        made: dict[str, Place] = {}
        parts = []
        for part in learned["parts"]:
            ends = ("_sin", "_cos") if learned["cyclic"] and PARTS[part].period else ("",)
            new = {f"{name}_{part}{end}": layout.new("number") for end in ends}
            parts.append((part, [entry.slot for entry in new.values()]))
            made |= new
        layout.operations.append(TakeParts(place.slot, parts, learned["timezone"]))
        layout.replace(name, made)


def _lower(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        layout.operations.append(ToLower(layout.place("Lower", name, "text").slot))


def _text_length(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        place, length = layout.place("TextLength", name, "text"), layout.new("number")
        layout.operations.append(CountCharacters(place.slot, length.slot))
        layout.replace(name, {name: place, f"{name}_length": length})


def _ngrams(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        place = layout.place("NGrams", name, "text")
        made = {f"{name}#{bucket}": layout.new("number") for bucket in range(learned["buckets"])}
        slots = np.array([entry.slot for entry in made.values()], dtype=int)
        layout.operations.append(CountNGrams(place.slot, slots, learned["size"], learned["unit"] == "word"))
        layout.replace(name, made)


def _drop(layout: Layout, learned: Learned) -> None:
    for name in learned["columns"]:
        layout.place("Drop", name, "number", "text", "time")
    layout.columns = {name: place for name, place in layout.columns.items() if name not in learned["columns"]}


_COMPILE: Mapping[str, Callable[[Layout, Learned], None]] = {
    "Cast": _cast,
    "Clip": _clip,
    "Custom": compile_custom,
    "DateParts": _date_parts,
    "Deduplicate": compile_deduplicate,
    "Drop": _drop,
    "Enrich": compile_enrich,
    "HashEncode": _hash_encode,
    "Impute": _impute,
    "Log": _log,
    "Lower": _lower,
    "NGrams": _ngrams,
    "OneHot": _one_hot,
    "Ordinal": _ordinal,
    "Scale": _scale,
    "TargetEncode": _target_encode,
    "TextLength": _text_length,
    "Validate": compile_validate,
    "YeoJohnson": _yeo_johnson,
}


def compile_program(inputs: Mapping[str, str], steps: Sequence[Learned]) -> Program:
    """Compile learned steps.

    Args:
        inputs: Input column to ``number``, ``text`` or ``time``, in order.
        steps: What each step learned, with its name under ``step``.

    Raises:
        SchemaMismatch: A step names a column that is not there, or of the wrong kind.
    """
    layout = Layout(inputs)
    for learned in steps:
        compile_step(layout, learned)
    return Program(
        layout.inputs, tuple(layout.operations), layout.slots, layout.texts, layout.fold, dict(layout.columns)
    )


def compile_step(layout: Layout, learned: Learned) -> None:
    """Add what one step does to a layout; errors as for `compile_program`."""
    _COMPILE[learned["step"]](layout, learned)
