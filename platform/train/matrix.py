"""Tables as the matrices that algorithms take."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..data import FittedRecipe
from .signature import to_matrix


def prepare(
    inputs: pa.Table, recipe: FittedRecipe | None, matrix_columns: tuple[str, ...], *, training: bool = False
) -> NDArray[np.float32]:
    """Inputs through the recipe, as a float32 matrix; rows that it was fitted on with ``training=True``."""
    if recipe is not None:
        inputs = recipe.apply_training(inputs) if training else recipe.apply(inputs)
    return to_matrix(inputs, matrix_columns)
