"""Rows as a table, for loops that run in one process: columns by name, text as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..data import FittedRecipe
from ..data import table as read_table
from .job import Job
from .labels import labels_of

Part = tuple[pa.Table, NDArray[np.float32]]


def table_rows(job: Job) -> tuple[Part, Part]:
    """The training and the validation rows after the recipe, each with its labels; empty if none are held out."""
    recipe = FittedRecipe.from_json(job.recipe) if job.recipe else None
    chosen = job.split.validation(job.event_time)
    train = _read(job, job.split.training(job.event_time))
    valid = train.slice(0, 0) if chosen is None else _read(job, chosen)
    return _part(job, recipe, train, True), _part(job, recipe, valid, False)


def _read(job: Job, chosen: Any) -> pa.Table:
    return read_table(job.ws, job.table, columns=[*job.columns, job.label], filter=chosen)


def _part(job: Job, recipe: FittedRecipe | None, rows: pa.Table, training: bool) -> Part:
    inputs = rows.select(list(job.columns))
    if recipe is not None:
        inputs = recipe.apply_training(inputs) if training else recipe.apply(inputs)
    return inputs.select(list(job.matrix_columns)), labels_of(rows.column(job.label), job.classes)
