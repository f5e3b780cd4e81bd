"""From a Spec to what a worker needs: checked labels, the split by time, the fitted recipe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..core import ConfigError, DataError, SchemaMismatch, Workspace
from ..data import FittedRecipe, Recipe
from ..data import table as read_table
from .labels import LabelFacts, check_classes, task_of
from .preparation import default_recipe
from .signature import Signature, to_matrix
from .spec import Spec, Window

MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Split:
    """The split by event time: training before `start`, validation in ``[start, end)``.

    Attributes:
        start: First moment of the validation rows; ``None`` when everything trains.
        end: First moment after them; ``None`` when there is no limit.
    """

    start: datetime | None = None
    end: datetime | None = None

    def training(self, event_time: str) -> pc.Expression | None:
        """Filter of the training rows."""
        return None if self.start is None else pc.field(event_time) < pa.scalar(self.start, MOMENT)

    def validation(self, event_time: str) -> pc.Expression | None:
        """Filter of the validation rows, or ``None`` when there are none."""
        if self.start is None:
            return None
        found = pc.field(event_time) >= pa.scalar(self.start, MOMENT)
        return found if self.end is None else found & (pc.field(event_time) < pa.scalar(self.end, MOMENT))


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked Spec: everything about the data that driver and workers agree on.

    Attributes:
        table: Pinned training table, ``training.name@version``.
        columns: Input columns, in order.
        label: Label column.
        event_time: Column that orders the rows in time.
        task: ``binary``, ``multiclass`` or ``regression``.
        split: Training and validation rows.
        recipe: Fitted on the training rows, or ``None``.
        matrix_columns: Columns after the recipe, in order.
        signature: Of the rows before the recipe.
        train: Training rows: inputs, label and event time (driver only).
        valid: Validation rows (driver only).
    """

    table: str
    columns: tuple[str, ...]
    label: str
    event_time: str
    task: str
    split: Split
    recipe: FittedRecipe | None
    matrix_columns: tuple[str, ...]
    signature: Signature
    train: pa.Table
    valid: pa.Table

    @property
    def window(self) -> tuple[datetime, datetime]:
        """Event times (UTC) of the oldest and of the newest row that the fit uses, validation rows included."""
        ends = [pc.min_max(part.column(self.event_time).cast(MOMENT)) for part in (self.train, self.valid) if len(part)]
        return min(end["min"].as_py() for end in ends), max(end["max"].as_py() for end in ends)

    def matrix(self, rows: pa.Table, *, training: bool = False) -> NDArray[np.float32]:
        """The float32 (n, len(matrix_columns)) inputs of `rows`, through the recipe."""
        return prepare(rows.select(list(self.columns)), self.recipe, self.matrix_columns, training=training)


def make_plan(ws: Workspace, spec: Spec) -> Plan:
    """Read the pinned training set, check it, split it by time and fit the recipe on the training rows.

    Raises:
        SchemaMismatch: The label, the event time or a feature column is missing, or a type cannot be trained on.
        DataError: No rows, nulls in the label or in the event time, one class only, or an empty part.
        ConfigError: The label is among the features, the recipe encodes by another column, or the objective does not
            fit.
    """
    version = spec.training.version
    table = str(version.ref.at(version.version))
    label, moment, columns = spec.target, spec.training.event_time, tuple(spec.training.columns)
    _check_columns(table, tuple(version.schema), columns, label, moment)
    rows = read_table(ws, table, columns=list(dict.fromkeys((*columns, label, moment))))
    task, classes = task_of(spec, LabelFacts.of(rows.column(label)), table)
    spec.trainer.check(task)
    split = make_split(rows.column(moment), spec.validation, table)
    train, valid = _part(rows, split.training(moment)), _rest(rows, split.validation(moment))
    _check_parts(train, valid, split, classes, label, table)
    recipe = spec.recipe or default_recipe(spec.trainer, train.select(list(columns)).schema)
    _check_targets(recipe, label)
    train = train if recipe is None else recipe.training_rows(train)
    _check_parts(train, valid, split, classes, label, table)
    inputs = train.select(list(columns))
    # The label is for steps that learn from it; it never becomes an input.
    fitted = None if recipe is None else recipe.fit(train.select([*columns, *recipe.targets]))
    after = inputs if fitted is None else fitted.apply(inputs.slice(0, 1))
    signature = Signature.of(inputs.schema, label, task, classes)
    matrix_columns = tuple(after.column_names)
    if spec.trainer.takes != "columns":
        to_matrix(after.slice(0, 1), matrix_columns)
    return Plan(table, columns, label, moment, task, split, fitted, matrix_columns, signature, train, valid)


def _check_targets(recipe: Recipe | None, label: str) -> None:
    others = [name for name in (recipe.targets if recipe else ()) if name != label]
    if others:
        raise ConfigError(f"the recipe encodes by {others[0]!r}, which is not the label {label!r}: use the label")


def make_split(moments: pa.ChunkedArray, validation: float | Window, table: str) -> Split:
    """The split of rows with these event times: the newest share, or the given window.

    Rows of one moment stay together, so the split depends neither on the order of rows nor on the workers.

    Raises:
        DataError: Event times are missing, or all rows would be validation rows.

    Example:
        >>> from datetime import UTC, datetime
        >>> hours = pa.chunked_array([[datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in range(10)]])
        >>> make_split(hours, 0.2, "flights@1").start.hour
        8
    """
    if isinstance(validation, tuple):
        return Split(*validation)
    if moments.null_count:
        raise DataError(f"event time of {table} is null in {moments.null_count} rows: drop these rows before training")
    if validation == 0:
        return Split()
    stamps = np.sort(moments.cast(MOMENT).cast(pa.int64()).to_numpy())
    first = min(len(stamps) - 1, len(stamps) - max(1, round(validation * len(stamps))))
    start = pa.scalar(int(stamps[first]), pa.int64()).cast(MOMENT).as_py()
    return Split(start=start)


def prepare(
    inputs: pa.Table, recipe: FittedRecipe | None, matrix_columns: tuple[str, ...], *, training: bool = False
) -> NDArray[np.float32]:
    """Inputs through the recipe, as a float32 matrix; rows that it was fitted on with ``training=True``."""
    if recipe is not None:
        inputs = recipe.apply_training(inputs) if training else recipe.apply(inputs)
    return to_matrix(inputs, matrix_columns)


def _check_columns(table: str, schema: tuple[str, ...], columns: tuple[str, ...], label: str, moment: str) -> None:
    if label not in schema:
        raise SchemaMismatch(f"label column {label!r} is not in {table}: it has {', '.join(schema)}")
    if label in columns:
        raise ConfigError(f"label {label!r} is also a feature of {table}: take it out of the features")
    missing = [name for name in (*columns, moment) if name not in schema]
    if missing:
        raise SchemaMismatch(
            f"column(s) {', '.join(map(repr, missing))} are not in {table}: it has {', '.join(schema)}"
        )
    if not columns:
        raise SchemaMismatch(f"{table} has no feature column: build the training set from a feature set with features")


def _part(rows: pa.Table, chosen: pc.Expression | None) -> pa.Table:
    return rows if chosen is None else rows.filter(chosen)


def _rest(rows: pa.Table, chosen: pc.Expression | None) -> pa.Table:
    return rows.slice(0, 0) if chosen is None else rows.filter(chosen)


def _check_parts(
    train: pa.Table, valid: pa.Table, split: Split, classes: tuple[int | str, ...], label: str, table: str
) -> None:
    if not train.num_rows:
        raise DataError(
            f"no row of {table} is older than the validation rows ({split.start}): choose a smaller validation"
        )
    if split.start is not None and not valid.num_rows:
        raise DataError(f"no row of {table} lies in the validation window {split.start} to {split.end}: choose another")
    if classes:
        check_classes(LabelFacts.of(train.column(label)), classes, label, table)
