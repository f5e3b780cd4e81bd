"""Steps about whole rows: what a value may be, and which rows a recipe learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...core import ConfigError, ExpectationFailed, SchemaMismatch
from .layout import Layout, Learned
from .program import number_column, number_text, text_column
from .step import Step, one_of
from .texts import as_arrow

OnBroken = Literal["null", "drop", "fail"]


@dataclass(frozen=True, slots=True)
class Validate(Step):
    """Say what the values of columns may be, and what becomes of others; null passes unless it is `required`.

    Attributes:
        columns: Numeric or text columns.
        least: The least number.
        most: The greatest number.
        allowed: The only values.
        pattern: What a whole text matches (RE2 syntax).
        required: Whether null is broken too.
        on_broken: ``null``: the value becomes null. ``drop``: the row is left out of training; elsewhere the
            value becomes null, since a request must be answered. ``fail``: the rows are refused, in training and
            when the recipe is applied.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Impute, Recipe
        >>> fitted = Recipe([Validate(["age"], 0, 120), Impute(["age"])]).fit(pa.table({"age": [20.0, 999.0, 40.0]}))
        >>> fitted.apply_columns({"age": [-5, 60]}).tolist()
        [[30.0], [60.0]]
    """

    learns: ClassVar[bool] = False
    least: float | None = None
    most: float | None = None
    allowed: Sequence[Any] | None = None
    pattern: str | None = None
    required: bool = False
    on_broken: OnBroken = "null"

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        one_of(self, "on_broken", self.on_broken, ("null", "drop", "fail"))
        if isinstance(self.allowed, str):
            raise ConfigError(f"allowed={self.allowed!r} of Validate is not a list of values: use ['{self.allowed}']")
        if self.allowed is not None:
            object.__setattr__(self, "allowed", tuple(self.allowed))
        rules = (self.least, self.most, self.allowed, self.pattern)
        if all(rule is None for rule in rules) and not self.required:
            raise ConfigError("Validate says nothing: give least=, most=, allowed=, pattern= or required=True")
        if self.required and self.on_broken == "null":
            raise ConfigError("Validate(required=True) needs on_broken='drop' or 'fail': null cannot become null")
        self._check_rules()

    def _check_rules(self) -> None:
        if self.pattern is not None:
            try:
                pc.match_substring_regex(pa.array([""]), pattern=self.pattern)
            except pa.ArrowInvalid as error:
                raise ConfigError(f"pattern={self.pattern!r} of Validate is not RE2 syntax: {error}") from error
        if self.least is not None and self.most is not None and not self.least <= self.most:
            raise ConfigError(f"least={self.least!r} of Validate is not below most={self.most!r}: exchange them")

    @property
    def chooses(self) -> bool:
        """Whether it leaves rows out of training."""
        return self.on_broken == "drop"


@dataclass(frozen=True, slots=True)
class Deduplicate(Step):
    """Learn from one row only of those that are equal in some columns; null equals null.

    Which row stays is decided by a hash of it, so it is the same for a table, a Dataset and any order of rows. (For
    the newest of each key use ``raylake.data.Source(mode="merge")``.) Rows to predict are not touched.

    Attributes:
        columns: Columns that are equal in rows that are the same.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Recipe, Scale
        >>> visits = pa.table({"patient": [1, 1, 2], "age": [30, 30, 50]})
        >>> fitted = Recipe([Deduplicate(["patient"]), Scale(["age"])]).fit(visits)
        >>> fitted.apply_columns({"patient": [1], "age": [40]}).tolist(), fitted.training_rows(visits).num_rows
        ([[1.0, 0.0]], 2)
    """

    learns: ClassVar[bool] = False

    @property
    def chooses(self) -> bool:
        """It leaves rows out of training."""
        return True


@dataclass(frozen=True, slots=True)
class CheckValues:
    """Values of a column that break a rule become null, or the rows are refused."""

    column: str
    slot: int
    text: bool
    rule: Learned

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place.

        Raises:
            ExpectationFailed: A value breaks the rule, which says ``fail``.
        """
        values = texts[self.slot] if self.text else numbers[:, self.slot]
        broken = breaking(values, self.rule)
        if not broken.any():
            return
        if self.rule["on_broken"] == "fail":
            raise ExpectationFailed(_complaint(self.column, values, broken, self.rule))
        if not self.text:
            numbers[broken, self.slot] = np.nan
        elif isinstance(values, list):
            texts[self.slot] = [None if bad else item for item, bad in zip(values, broken.tolist(), strict=True)]
        else:
            texts[self.slot] = pc.if_else(pa.array(broken), pa.scalar(None, pa.string()), values)


def breaking(values: Any, rule: Learned) -> Any:
    """Which values break a rule, bool ``(rows,)``; numbers are a numpy array, text a list or an Arrow array."""
    if isinstance(values, np.ndarray):
        null = np.isnan(values)
        broken = np.zeros(len(values), dtype=bool)
        if rule["least"] is not None:
            broken |= values < rule["least"]
        if rule["most"] is not None:
            broken |= values > rule["most"]
        if rule["allowed"] is not None:
            broken |= ~np.isin(values, np.array(rule["allowed"], dtype=np.float64))
    else:
        text = as_arrow(values)
        null = pc.is_null(text).to_numpy(zero_copy_only=False)
        broken = np.zeros(len(text), dtype=bool)
        if rule["allowed"] is not None:
            known = pc.is_in(text, value_set=pa.array(rule["allowed"], pa.string()))
            broken |= ~known.to_numpy(zero_copy_only=False)
        if rule["pattern"] is not None:
            found = pc.match_substring_regex(text, pattern=rf"\A(?:{rule['pattern']})\z")
            broken |= ~pc.fill_null(found, True).to_numpy(zero_copy_only=False)
    return np.where(null, rule["required"], broken)


def _complaint(column: str, values: Any, broken: Any, rule: Learned) -> str:
    at = int(np.flatnonzero(broken)[0])
    item = number_text(float(values[at])) if isinstance(values, np.ndarray) else as_arrow(values)[at].as_py()
    value = "null" if item is None else repr(item) if not isinstance(values, np.ndarray) else item
    said = {name: rule[name] for name in ("least", "most", "allowed", "pattern") if rule[name] is not None}
    wanted = ", ".join([*(f"{name} {value}" for name, value in said.items()), *(["not null"] * rule["required"])])
    return f"column {column!r} is {value} in row {at} ({int(broken.sum())} rows are wrong); it must be: {wanted}"


def compile_validate(layout: Layout, learned: Learned) -> None:
    """Checks of each column."""
    for name in learned["columns"]:
        place = layout.place("Validate", name, "number", "text")
        _check_kind(name, place.kind, learned)
        layout.operations.append(CheckValues(name, place.slot, place.kind == "text", learned))


def compile_deduplicate(layout: Layout, learned: Learned) -> None:
    """Nothing runs; the columns must be there."""
    for name in learned["columns"]:
        layout.place("Deduplicate", name, "number", "text", "time")


def _check_kind(name: str, kind: str, rule: Learned) -> None:
    other = ("pattern",) if kind == "number" else ("least", "most")
    wrong = [f"{each}=" for each in other if rule[each] is not None]
    if wrong:
        raise SchemaMismatch(f"Validate: {' and '.join(wrong)} cannot be asked of column {name!r}, which is {kind}")
    text = kind == "text"
    for value in rule["allowed"] or ():
        if isinstance(value, str) != text:
            raise SchemaMismatch(f"Validate: allowed value {value!r} is no {kind}, but column {name!r} is")


def obeying(rows: pa.Table, rule: Learned) -> Any:
    """Which rows obey a rule in all of its columns, bool ``(rows,)``."""
    kept = np.ones(rows.num_rows, dtype=bool)
    for name in rule["columns"]:
        column = rows.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        values = text_column(name, column) if text else np.asarray(number_column(name, column), dtype=np.float64)
        kept &= ~breaking(values, rule)
    return kept


def chosen_first(steps: Sequence[Step]) -> None:
    """Refuse a step that chooses rows after one that changes columns: rows are chosen from what came in.

    Raises:
        ConfigError: There is one.
    """
    changed: Step | None = None
    for step in steps:
        if isinstance(step, Validate | Deduplicate) and step.chooses:
            if changed is not None:
                raise ConfigError(
                    f"{type(step).__name__}({list(step.columns)}) chooses rows, but stands after "
                    f"{type(changed).__name__}, which changes columns: put it before all steps that do"
                )
        else:
            changed = changed or step


def choosers(steps: Sequence[Learned]) -> list[Learned]:
    """Those steps, as learned, that leave rows out of training."""
    names: Mapping[str, Any] = {"Deduplicate": True, "Validate": None}
    return [step for step in steps if step["step"] in names and (names[step["step"]] or step["on_broken"] == "drop")]
