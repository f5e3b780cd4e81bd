"""A recipe: an ordered list of steps, fitted on training data once and applied unchanged at serving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core import ConfigError, SchemaMismatch
from .choose import choose_rows, chosen_places
from .compile import Program, compile_program
from .dates import moments_of
from .fitted import FittedRecipe, row_numbers, run
from .layout import Learned, kind_of
from .preview import Preview, make_preview, sample_rows
from .program import load, number_column
from .rows import Deduplicate, Validate, chosen_first
from .step import Step
from .steps import STEPS
from .texts import as_arrow

if TYPE_CHECKING:
    import ray.data

# Per step of a pass, per column: a mergeable summary.
Summaries = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Preparation steps, in order.

    Columns that no step names pass through, if they are numeric. Output is float32, null as NaN.

    Attributes:
        steps: `Impute`, `Scale`, `Clip`, `Log`, `YeoJohnson`, `Ordinal`, `OneHot`, `HashEncode`, `TargetEncode`,
            `DateParts`, `Lower`, `TextLength`, `NGrams`, `Cast`, `Validate`, `Deduplicate`, `Enrich`, `Custom`, `Drop`.

    Raises:
        ConfigError: Something is no step, or a step that chooses rows stands after one that changes columns.

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
            raise ConfigError(f"{wrong[0]!r} is not a step of a recipe: use one of {', '.join(sorted(STEPS))}")
        object.__setattr__(self, "steps", tuple(self.steps))
        chosen_first(self.steps)

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns that `fit` needs and that are no inputs: the labels of `TargetEncode`."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.targets))

    def fit(self, data: pa.Table | ray.data.Dataset) -> FittedRecipe:
        """Learn from training data.

        Args:
            data: The input columns, the `targets`, and no others. A table is learned from in this process; a Dataset
                in Ray tasks, one pass for each run of steps with different columns. Medians need the column's values
                in memory.

        Raises:
            SchemaMismatch: A step names a column that is not there or of the wrong kind, a column's values cannot be
                learned from, or text is left after the last step.
        """
        inputs = self._inputs(_schema(data))
        data = self.training_rows(data)
        learned: list[Learned] = []
        rest = list(self.steps)
        while rest:
            group = _next_pass(rest, compile_program(inputs, learned))
            rest = rest[len(group) :]
            pending = [step for step in group if step.learns and not step.given()]
            found = iter(_summarise(data, inputs, learned, pending) if pending else [])
            learned += [_learn(step, next(found) if step in pending else None) for step in group]
        return FittedRecipe(inputs, tuple(learned))

    def training_rows(self, data: Any) -> Any:
        """The rows that `fit` learns from: those that `Deduplicate` and `Validate` leave. See
        `FittedRecipe.training_rows`.

        Example:
            >>> from raylake.data import Validate
            >>> recipe = Recipe([Validate(["age"], 0, 120, on_broken="drop")])
            >>> recipe.training_rows(pa.table({"age": [30, 999]})).num_rows
            1
        """
        return choose_rows(data, self._choosing())

    @property
    def chooses(self) -> bool:
        """Whether `training_rows` may leave rows out."""
        return any(step.chooses for step in self.steps if isinstance(step, Validate | Deduplicate))

    def training_places(self, parts: Iterable[pa.Table]) -> NDArray[np.int64]:
        """Places, ascending, of the rows that `training_rows` leaves of tables laid end to end.

        For training sets that are read a part at a time: of each part only the columns that the steps choose by are
        held, and 16 bytes a row.

        Example:
            >>> from raylake.data import Deduplicate
            >>> Recipe([Deduplicate(["id"])]).training_places([pa.table({"id": [1, 1]}), pa.table({"id": [1, 2]})])
            array([0, 3])
        """
        return chosen_places(parts, self._choosing())

    def _choosing(self) -> list[Learned]:
        return [_learn(step, None) for step in self.steps if isinstance(step, Validate | Deduplicate)]

    def preview(self, table: pa.Table, *, rows: int = 10_000) -> Preview:
        """Fit on a sample and show every column before and after; nothing is stored.

        Args:
            table: As for `fit`.
            rows: Size of the sample (chosen at random, the same each time).

        Raises:
            SchemaMismatch: As for `fit`.
            ConfigError: `rows` is below 1.

        Example:
            >>> from raylake.data import Scale
            >>> print(Recipe([Scale(["x"])]).preview(pa.table({"x": [1.0, 2.0, 6.0]})))
            column  when    missing  distinct  mean  deviation    least   median   most  skewness
            x       before        0         3     3      2.646        1        2      6    0.5952
            x       after         0         3     0      1.225  -0.9258  -0.4629  1.389    0.5952
        """
        if rows < 1:
            raise ConfigError(f"rows={rows} of a preview is not a number of rows: use 1 or more")
        sample = sample_rows(table, rows)
        return make_preview(self.fit(sample), sample)

    def _inputs(self, schema: pa.Schema) -> dict[str, str]:
        absent = [name for name in self.targets if name not in schema.names]
        if absent:
            raise SchemaMismatch(f"the target {absent[0]!r} is not among the columns to fit on: {schema.names}")
        return {entry.name: kind_of(entry) for entry in schema if entry.name not in self.targets}


def _schema(data: pa.Table | ray.data.Dataset) -> pa.Schema:
    if isinstance(data, pa.Table):
        return data.schema
    found: Any = data.schema()
    base = getattr(found, "base_schema", None)
    if not isinstance(base, pa.Schema):
        raise SchemaMismatch("a recipe learns from Arrow data: this Dataset has no Arrow schema")
    return base


def _next_pass(steps: Sequence[Step], now: Program) -> list[Step]:
    """The first steps that learn in one pass: those of columns that are there now and that none before them touches."""
    touched: set[str] = set()
    for count, step in enumerate(steps):
        wanted = {*step.columns, *step.reads}
        if count and (touched & wanted or not wanted <= set(now.columns)):
            return list(steps[:count])
        touched |= set(step.columns)
    return list(steps)


def _learn(step: Step, summaries: Mapping[str, Any] | None) -> Learned:
    return step.learned(summaries)


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

    def column(step: Step, name: str) -> Any:
        if name not in program.columns:
            raise SchemaMismatch(
                f"{type(step).__name__} names column {name!r}, which is not there; there are {list(program.columns)}"
            )
        place = program.columns[name]
        if place.kind == "time" and step.takes_times:
            return moments_of(numbers[:, place.slot])
        if place.kind == "time":
            raise SchemaMismatch(
                f"{type(step).__name__} cannot take column {name!r}, a time: take numbers from it by DateParts"
            )
        return numbers[:, place.slot] if place.kind == "number" else as_arrow(texts[place.slot])

    found = []
    for step in steps:
        others = [column(step, name) for name in step.reads]
        for name in step.targets:
            others += [number_column(name, block.column(name).combine_chunks()), _row_numbers(columns, inputs, program)]
        found.append({name: step.partial(column(step, name), *others) for name in step.columns})
    return found


def _row_numbers(columns: Mapping[str, Any], inputs: Mapping[str, str], program: Program) -> Any:
    numbers, texts = load(columns, inputs, program.inputs, program.slots)
    return row_numbers(numbers[:, list(program.inputs.values())], texts)


def merge_summaries(parts: Iterable[Summaries], steps: Sequence[Step]) -> Summaries:
    """The summaries of all blocks together."""

    def both(one: Summaries, other: Summaries) -> Summaries:
        return [
            {name: step.merge(left[name], right[name]) for name in step.columns}
            for step, left, right in zip(steps, one, other, strict=True)
        ]

    return reduce(both, parts)
