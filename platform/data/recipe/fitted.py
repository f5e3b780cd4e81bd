"""A fitted recipe: plain JSON that prepares one row or many, with identical values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from ...core import SchemaMismatch
from ..summary.hashing import mixed
from .choose import choose_rows
from .compile import Program, compile_program
from .layout import Learned
from .program import Texts, load
from .steps import STEPS
from .texts import hash_texts
from .transforms import hash_numbers

if TYPE_CHECKING:
    import ray.data

_FORMAT = 1
_FEW = 64


@dataclass(frozen=True)
class FittedRecipe:
    """What a `Recipe` learned. Immutable, picklable, safe in threads; equal when its JSON is.

    Attributes:
        inputs: Input column to ``number``, ``text`` or ``time``, in order.
        steps: What each step learned, as JSON values.

    Example:
        >>> from raylake.data import Impute, Ordinal, Recipe
        >>> train = pa.table({"carrier": ["UA", "AA", None], "age": [1.0, None, 3.0]})
        >>> fitted = Recipe([Impute(["age"]), Ordinal(["carrier"])]).fit(train)
        >>> fitted.apply(pa.table({"carrier": ["UA"], "age": pa.nulls(1, pa.float64())})).to_pylist()
        [{'carrier': 1.0, 'age': 2.0}]
        >>> FittedRecipe.from_json(fitted.to_json()) == fitted
        True
    """

    inputs: Mapping[str, str]
    steps: tuple[Learned, ...]
    _program: Program = field(init=False, repr=False, compare=False)
    _outputs: np.ndarray = field(init=False, repr=False, compare=False)
    _schema: pa.Schema = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        program = compile_program(self.inputs, self.steps)
        text = [name for name, place in program.columns.items() if place.kind == "text"]
        if text:
            raise SchemaMismatch(f"columns {text} are still text after the last step: encode them, or leave them out")
        times = [name for name, place in program.columns.items() if place.kind == "time"]
        if times:
            raise SchemaMismatch(
                f"column {times[0]!r} is timestamp or date, which a model cannot take: derive numbers from it by "
                "DateParts, or leave it out"
            )
        object.__setattr__(self, "_program", program)
        slots = np.array([place.slot for place in program.columns.values()], dtype=int)
        object.__setattr__(self, "_outputs", slots)
        object.__setattr__(self, "_schema", pa.schema([(name, pa.float32()) for name in program.columns]))

    def __reduce__(self) -> tuple[Any, ...]:
        return (FittedRecipe.from_json, (self.to_json(),))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that `apply` needs."""
        return tuple(self.inputs)

    @property
    def output_columns(self) -> tuple[str, ...]:
        """Columns that `apply` returns, in order."""
        return tuple(self._program.columns)

    @overload
    def apply(self, rows: ray.data.Dataset) -> ray.data.Dataset: ...

    @overload
    def apply(self, rows: pa.Table) -> pa.Table: ...

    def apply(self, rows: pa.Table | ray.data.Dataset) -> pa.Table | ray.data.Dataset:
        """Prepare rows.

        Args:
            rows: A table or a Ray Dataset with at least the input columns, in any order.

        Returns:
            A table of the output columns, all float32, null as NaN; or a Dataset of them, which prepares its blocks
            in Ray tasks when it is read.

        Raises:
            SchemaMismatch: A column is missing, or holds text where numbers belong.
            ExpectationFailed: A value breaks a rule of `Validate` that says ``fail``.
        """
        if not isinstance(rows, pa.Table):
            return rows.map_batches(self.apply, batch_format="pyarrow", batch_size=None)
        return self._table(self.apply_columns(arrays_of(rows, self.input_columns)))

    def training_rows(self, rows: Any) -> Any:
        """The rows that the recipe learns from: `Deduplicate` and `Validate(on_broken="drop")` leave the others out.

        `Recipe.fit` and training do this by themselves.

        Args:
            rows: A table, or a Ray Dataset (where equal rows are brought together by a shuffle, and the order of the
                rows is not kept).

        Returns:
            The same kind, all columns.

        Raises:
            SchemaMismatch: A column is missing.

        Example:
            >>> from raylake.data import Deduplicate, Recipe
            >>> rows = pa.table({"id": [1, 1, 2]})
            >>> Recipe([Deduplicate(["id"])]).fit(rows).training_rows(rows).num_rows
            2
        """
        return choose_rows(rows, self.steps)

    def apply_training(self, rows: pa.Table) -> pa.Table:
        """Prepare rows that the recipe was fitted on: `TargetEncode` leaves each row's own fold out.

        Without such a step this is `apply`. Args, result and errors as there.

        Example:
            >>> from raylake.data import Recipe, TargetEncode
            >>> train = pa.table({"c": ["a", "b"] * 50, "n": range(100), "late": [1, 0] * 50})
            >>> fitted = Recipe([TargetEncode(["c"], "late", smoothing=0)]).fit(train)
            >>> fitted.apply_training(train)["c"].to_pylist()[:2]
            [1.0, 0.0]
        """
        columns = arrays_of(rows, self.input_columns)
        numbers, _ = run(self._program, self.inputs, columns, training=True)
        return self._table(numbers[:, self._outputs].astype(np.float32))

    def _table(self, values: np.ndarray) -> pa.Table:
        columns = [pa.array(column) for column in np.ascontiguousarray(values.T)]
        return pa.Table.from_batches([pa.RecordBatch.from_arrays(columns, schema=self._schema)])

    def apply_columns(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Prepare rows given as columns: the quick way for a few rows at serving.

        Args:
            columns: Input column to a list or numpy array; null as ``None`` or NaN. Others are ignored.

        Returns:
            Array (rows, output columns), float32; the same values as `apply`.

        Raises:
            SchemaMismatch: A column is missing, or holds text where numbers belong.

        Example:
            >>> from raylake.data import Impute, Recipe
            >>> fitted = Recipe([Impute(["age"])]).fit(pa.table({"age": [1.0, 3.0]}))
            >>> fitted.apply_columns({"age": [None]})
            array([[2.]], dtype=float32)
        """
        numbers, _ = run(self._program, self.inputs, columns)
        return numbers[:, self._outputs].astype(np.float32)

    def to_json(self) -> str:
        """Readable JSON, with keys in a fixed order."""
        facts = {"format": _FORMAT, "inputs": dict(self.inputs), "steps": list(self.steps)}
        return json.dumps(facts, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FittedRecipe:
        """The way back from `to_json`.

        Raises:
            SchemaMismatch: The text is not a recipe, or of a later format.
        """
        try:
            facts = json.loads(text)
            found, inputs, steps = facts["format"], facts["inputs"], tuple(facts["steps"])
            unknown = [step["step"] for step in steps if step["step"] not in STEPS]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise SchemaMismatch(f"this is not a fitted recipe: {error!r}. Use what to_json() returned") from error
        if found != _FORMAT or unknown:
            raise SchemaMismatch(
                f"the recipe has format {found} and unknown steps {unknown}: it comes from a newer raylake; "
                "update this one"
            )
        return cls(inputs, steps)


def arrays_of(rows: pa.Table, names: Sequence[str]) -> dict[str, Any]:
    """Columns of a table as lists (few rows) or Arrow arrays (many); absent ones are left out."""
    if rows.num_rows > _FEW:
        there = set(rows.column_names)
        return {name: rows.column(name).combine_chunks() for name in names if name in there}
    batches = rows.to_batches()
    if len(batches) == 1:
        # Columns of a batch unpack in half the time of a table's.
        return {name: column.to_pylist() for name, column in zip(rows.column_names, batches[0].columns, strict=True)}
    return {name: column.to_pylist() for name, column in zip(rows.column_names, rows.columns, strict=True)}


def run(
    program: Program, inputs: Mapping[str, str], columns: Mapping[str, Any], *, training: bool = False
) -> tuple[np.ndarray, Texts]:
    """Run a program over columns; return the matrix and the texts after its last operation."""
    numbers, texts = load(columns, inputs, program.inputs, program.slots)
    numbers[:, program.fold] = row_numbers(numbers[:, list(program.inputs.values())], texts) if training else -1.0
    texts = texts + [[None] * numbers.shape[0]] * (program.texts - len(texts))
    for operation in program.operations:
        operation.run(numbers, texts)
    return numbers, texts


def row_numbers(numbers: np.ndarray, texts: Texts) -> np.ndarray:
    """A number from 0 to 2**32 - 1 per row, as float64: a hash of the input columns, so equal rows share it."""
    found = np.zeros(numbers.shape[0], dtype=np.uint64)
    for hashes in (*map(hash_numbers, numbers.T), *map(hash_texts, texts)):
        found = mixed(found * np.uint64(0x9E3779B97F4A7C15) + hashes)
    return (found >> np.uint64(32)).astype(np.float64)
