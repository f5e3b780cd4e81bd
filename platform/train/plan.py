"""From a Spec to what a worker needs: checked labels, the split by time, the fitted recipe. Holds no rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..core import ConfigError, DataError, SchemaMismatch, Workspace
from ..data import FittedRecipe, Recipe
from ..data import table as read_table
from .labels import Classes, LabelFacts, check_classes, task_of
from .matrix import prepare
from .preparation import default_recipe
from .prepared import Part, Reader
from .row_groups import Group, total
from .signature import Signature, to_matrix
from .spec import Spec, Window
from .survey import MOMENT, Facts, Survey

__all__ = ["Plan", "Split", "make_plan", "make_split", "prepare"]

# Training rows whose recipe is fitted in this process; more are fitted in Ray tasks.
INLINE_BYTES = 512 * 1024 * 1024


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
    """A checked Spec: everything about the data that driver and workers agree on. Holds no rows.

    Attributes:
        ws: The workspace.
        table: Pinned training table, ``training.name@version``.
        columns: Input columns, in order.
        label: Label column.
        event_time: Column that orders the rows in time.
        task: ``binary``, ``multiclass`` or ``regression``.
        split: Training and validation rows.
        recipe: Fitted on the training rows, or ``None``.
        matrix_columns: Columns after the recipe, in order.
        signature: Of the rows before the recipe.
        window: Event times (UTC) of the oldest and of the newest row that the fit uses, validation rows included.
        train_groups: Where the training rows are.
        valid_groups: Where the validation rows are.
    """

    ws: Workspace
    table: str
    columns: tuple[str, ...]
    label: str
    event_time: str
    task: str
    split: Split
    recipe: FittedRecipe | None
    matrix_columns: tuple[str, ...]
    signature: Signature
    window: tuple[datetime, datetime]
    train_groups: tuple[Group, ...]
    valid_groups: tuple[Group, ...]

    @property
    def train(self) -> pa.Table:
        """The training rows (inputs, label, event time), read into memory now: for sets that fit there."""
        return pa.concat_tables([self._nothing(), *self.tables(training=True)])

    @property
    def valid(self) -> pa.Table:
        """The validation rows, read into memory now; see `train`."""
        return pa.concat_tables([self._nothing(), *self.tables(training=False)])

    def part(self, *, training: bool) -> Part:
        """The training or the validation rows as workers read them."""
        return Part(
            ws=self.ws,
            table=self.table,
            columns=self.columns,
            label=self.label,
            recipe="" if self.recipe is None else self.recipe.to_json(),
            matrix_columns=self.matrix_columns,
            chosen=self.split.training(self.event_time) if training else self.split.validation(self.event_time),
            groups=self.train_groups if training else self.valid_groups,
            training=training,
            classes=self.signature.classes,
        )

    def tables(self, *, training: bool) -> Iterator[pa.Table]:
        """The rows of a part (inputs, label, event time), one row group at a time."""
        part = self.part(training=training)
        reader = Reader(part)
        for group in part.groups:
            yield reader.table(group, self._all_columns)

    def matrix(self, rows: pa.Table, *, training: bool = False) -> NDArray[np.float32]:
        """The float32 (n, len(matrix_columns)) inputs of `rows`, through the recipe."""
        return prepare(rows.select(list(self.columns)), self.recipe, self.matrix_columns, training=training)

    @property
    def _all_columns(self) -> list[str]:
        return list(dict.fromkeys((*self.columns, self.label, self.event_time)))

    def _nothing(self) -> pa.Table:
        return read_table(self.ws, self.table, columns=self._all_columns, filter=pc.scalar(False))


def make_plan(ws: Workspace, spec: Spec) -> Plan:
    """Look through the pinned training set, check it, split it by time and fit the recipe on the training rows.

    The rows are read in passes, some at a time: in this process while the table is small, in Ray tasks beyond.

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
    survey = Survey(ws, table)
    facts = survey.facts(label, moment)
    task, classes = task_of(spec, facts.label, table)
    spec.trainer.check(task)
    split = _split(survey, facts, moment, spec.validation, table)
    chosen = split.training(moment), split.validation(moment)
    train = survey.groups(chosen[0])
    valid = () if chosen[1] is None else survey.groups(chosen[1])
    _check_parts(train, valid, split, table)
    learned = facts if chosen[0] is None else survey.facts(label, moment, chosen[0])
    _check_labels(learned.label, classes, label, table)
    inputs = pa.schema([survey.pinned.schema.field(name) for name in columns])
    recipe = spec.recipe or default_recipe(spec.trainer, inputs)
    _check_targets(recipe, label)
    if recipe is not None and recipe.chooses:
        train = _training_groups(survey, recipe, train, chosen[0], (*columns, label, moment))
        _check_parts(train, valid, split, table)
        learned = survey.facts_of(label, moment, train, chosen[0])
        _check_labels(learned.label, classes, label, table)
    used = learned if chosen[1] is None else learned.merge(survey.facts(label, moment, chosen[1]))
    fitted = None if recipe is None else _fit_recipe(survey, recipe, train, chosen[0], (*columns, label, moment))
    first = survey.pinned.read(train[0], columns, chosen[0]).slice(0, 1)
    after = first if fitted is None else fitted.apply(first)
    matrix_columns = tuple(after.column_names)
    if spec.trainer.takes != "columns":
        to_matrix(after, matrix_columns)
    signature = Signature.of(inputs, label, task, classes)
    return Plan(
        ws, table, columns, label, moment, task, split, fitted, matrix_columns, signature, used.window, train, valid
    )


def _training_groups(
    survey: Survey, recipe: Recipe, groups: tuple[Group, ...], chosen: pc.Expression | None, columns: tuple[str, ...]
) -> tuple[Group, ...]:
    """The row groups with what the recipe leaves of them for training."""
    wanted = list(dict.fromkeys(columns))
    places = recipe.training_places(survey.pinned.read(group, wanted, chosen) for group in groups)
    stays = np.zeros(total(groups), bool)
    stays[places] = True
    parts = np.split(stays, np.cumsum([group.rows for group in groups])[:-1])
    return tuple(
        replace(group, rows=int(part.sum()), kept=np.packbits(part).tobytes())
        for group, part in zip(groups, parts, strict=True)
        if part.any()
    )


def _fit_recipe(
    survey: Survey,
    recipe: Recipe,
    groups: tuple[Group, ...],
    chosen: pc.Expression | None,
    columns: tuple[str, ...],
) -> FittedRecipe:
    # `columns` end with the label and the event time. The label is for steps that learn from it; it never becomes
    # an input.
    wanted = [*columns[:-2], *recipe.targets]
    if total(groups) * len(wanted) * 8 <= INLINE_BYTES:
        return recipe.fit(pa.concat_tables([survey.pinned.read(group, wanted, chosen) for group in groups]))
    # Which of equal rows stays is decided by all columns, here and in `_training_groups`.
    read = list(dict.fromkeys(columns)) if recipe.chooses else wanted
    rows = recipe.training_rows(survey.dataset(read, chosen))
    return recipe.fit(rows.select_columns(wanted))


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
    _check_moments(moments.null_count, table)
    if validation == 0:
        return Split()
    stamps = np.sort(moments.cast(MOMENT).cast(pa.int64()).to_numpy())
    start = pa.scalar(int(stamps[_first(len(stamps), validation)]), pa.int64()).cast(MOMENT).as_py()
    return Split(start=start)


def _split(survey: Survey, facts: Facts, moment: str, validation: float | Window, table: str) -> Split:
    """As `make_split`, of event times that need not fit into memory."""
    if isinstance(validation, tuple):
        return Split(*validation)
    _check_moments(facts.moment_nulls, table)
    if validation == 0:
        return Split()
    stamp = survey.moment_at(moment, _first(facts.rows, validation), facts)
    return Split(start=pa.scalar(stamp, pa.int64()).cast(MOMENT).as_py())


def _first(rows: int, validation: float) -> int:
    """Place of the oldest validation row among `rows` in ascending order."""
    return min(rows - 1, rows - max(1, round(validation * rows)))


def _check_moments(nulls: int, table: str) -> None:
    if nulls:
        raise DataError(f"event time of {table} is null in {nulls} rows: drop these rows before training")


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


def _check_parts(train: tuple[Group, ...], valid: tuple[Group, ...], split: Split, table: str) -> None:
    if not train:
        raise DataError(
            f"no row of {table} is older than the validation rows ({split.start}): choose a smaller validation"
        )
    if split.start is not None and not valid:
        raise DataError(f"no row of {table} lies in the validation window {split.start} to {split.end}: choose another")


def _check_labels(label: LabelFacts, classes: Classes, name: str, table: str) -> None:
    if classes:
        check_classes(label, classes, name, table)
