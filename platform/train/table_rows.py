"""Rows as a table, for loops that run in one process: columns by name, text as text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..data import FittedRecipe
from .job import Job
from .labels import labels_of
from .prepared import Part, Reader

Labelled = tuple[pa.Table, NDArray[np.float32]]


def table_rows(job: Job) -> tuple[Labelled, Labelled]:
    """The training and the validation rows after the recipe, each with its labels; empty if none are held out."""
    train = _labelled(job.train)
    if job.valid is None:
        return train, (train[0].slice(0, 0), train[1][:0])
    return train, _labelled(job.valid)


def _labelled(part: Part) -> Labelled:
    reader = Reader(part)
    rows = pa.concat_tables([reader.table(group, [*part.columns, part.label]) for group in part.groups])
    inputs = rows.select(list(part.columns))
    if part.recipe:
        recipe = FittedRecipe.from_json(part.recipe)
        inputs = recipe.apply_training(inputs) if part.training else recipe.apply(inputs)
    return inputs.select(list(part.matrix_columns)), labels_of(rows.column(part.label), part.classes)
