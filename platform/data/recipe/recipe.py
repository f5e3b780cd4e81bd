"""A recipe: an ordered list of steps, fitted on training data once and applied unchanged at serving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...core import ConfigError, SchemaMismatch
from .compile import Learned, compile_program
from .fitted import FittedRecipe, run
from .steps import Step

if TYPE_CHECKING:
    import ray.data

# Per step of a pass, per column: a mergeable summary.
Summaries = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Preparation steps, in order.

    Columns that no step names pass through, if they are numeric. Output is float32, null as NaN.

    Attributes:
        steps: `Impute`, `Scale`, `Ordinal`, `OneHot`, `Cast`.

    Example:
        >>> from raylake.data import OneHot, Scale
        >>> fitted = Recipe([Scale(["x"]), OneHot(["c"])]).fit(pa.table({"x": [1, 3], "c": ["a", "b"], "n": [7, 8]}))
        >>> fitted.output_columns
        ('x', 'c=a', 'c=b', 'n')
    """

    steps: Sequence[Step] = ()

    def __post_init__(self) -> None:
        wrong = [step for step in self.steps if not isinstance(step, Step)]
        if wrong:
            raise ConfigError(f"{wrong[0]!r} is not a step of a recipe: use Impute, Scale, Ordinal, OneHot or Cast")
        object.__setattr__(self, "steps", tuple(self.steps))

    def fit(self, data: pa.Table | ray.data.Dataset) -> FittedRecipe:
        """Learn from training data.

        Args:
            data: The input columns, and no others. A table is learned from in this process; a Dataset in Ray tasks,
                one pass for each run of steps with different columns. Medians need the column's values in memory.

        Raises:
            SchemaMismatch: A step names a column that is not there or of the wrong kind, a column's values cannot be
                learned from, or text is left after the last step.
        """
        schema = _schema(data)
        inputs = {entry.name: _kind(entry) for entry in schema}
        learned: list[Learned] = []
        for group in _passes(self.steps):
            pending = [step for step in group if step.learns and not step.given()]
            summaries = _summarise(data, inputs, learned, pending) if pending else []
            found = iter(summaries)
            learned += [_learn(step, next(found) if step in pending else None) for step in group]
        return FittedRecipe(inputs, tuple(learned))


def _schema(data: pa.Table | ray.data.Dataset) -> pa.Schema:
    if isinstance(data, pa.Table):
        return data.schema
    found: Any = data.schema()
    base = getattr(found, "base_schema", None)
    if not isinstance(base, pa.Schema):
        raise SchemaMismatch("a recipe learns from Arrow data: this Dataset has no Arrow schema")
    return base


def _kind(entry: pa.Field) -> str:
    dtype = entry.type.value_type if pa.types.is_dictionary(entry.type) else entry.type
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return "text"
    if pa.types.is_boolean(dtype) or pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        return "number"
    if pa.types.is_decimal(dtype) or pa.types.is_null(dtype):
        return "number"
    raise SchemaMismatch(
        f"column {entry.name!r} is {entry.type}, which a model cannot take: derive numbers from it, or leave it out"
    )


def _passes(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps that touch different columns learn in one pass over the data."""
    groups: list[list[Step]] = []
    touched: set[str] = set()
    for step in steps:
        if not groups or touched & set(step.columns):
            groups.append([])
            touched = set()
        groups[-1].append(step)
        touched |= set(step.columns)
    return groups


def _learn(step: Step, summaries: Mapping[str, Any] | None) -> Learned:
    given = step.given()
    values = {column: given if summaries is None else step.learn(column, summaries[column]) for column in step.columns}
    return {"step": type(step).__name__, **asdict(step), "columns": list(step.columns), "values": values}


def _summarise(
    data: pa.Table | ray.data.Dataset, inputs: Mapping[str, str], learned: Sequence[Learned], steps: Sequence[Step]
) -> Summaries:
    if isinstance(data, pa.Table):
        return summarise_block(data, inputs, learned, steps)
    from .distributed import summarise_dataset

    return merge_summaries(summarise_dataset(data, inputs, learned, steps), steps)


def summarise_block(
    block: pa.Table, inputs: Mapping[str, str], learned: Sequence[Learned], steps: Sequence[Step]
) -> Summaries:
    """What each step's columns look like in one block, after the steps already learned."""
    program = compile_program(inputs, learned)
    columns = {name: block.column(name).combine_chunks() for name in inputs}
    numbers, texts = run(program, inputs, columns)
    found = []
    for step in steps:
        missing = [name for name in step.columns if name not in program.columns]
        if missing:
            raise SchemaMismatch(
                f"{type(step).__name__} names columns {missing}, which are not there; there are {list(program.columns)}"
            )
        summary = {}
        for name in step.columns:
            place = program.columns[name]
            values = numbers[:, place.slot] if place.kind == "number" else _arrow(texts[place.slot])
            summary[name] = step.partial(values)
        found.append(summary)
    return found


def merge_summaries(parts: Iterable[Summaries], steps: Sequence[Step]) -> Summaries:
    """The summaries of all blocks together."""

    def both(one: Summaries, other: Summaries) -> Summaries:
        return [
            {name: step.merge(left[name], right[name]) for name in step.columns}
            for step, left, right in zip(steps, one, other, strict=True)
        ]

    return reduce(both, parts)


def _arrow(texts: Any) -> pa.Array:
    return pa.array(texts, pa.string()) if isinstance(texts, list) else texts
