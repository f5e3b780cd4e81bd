"""Which column of the matrix that a model learned from was made from which column that the run read."""

from __future__ import annotations

from ..core import Node
from ..data import FittedRecipe
from ..data.recipe.origins import column_origins
from ..registry import ColumnEdge


def prepared_columns(recipe: FittedRecipe, run: Node) -> list[ColumnEdge]:
    """Column edges within a run: from what it read to what its recipe made of it; untouched columns need none.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Impute, Recipe, Scale
        >>> recipe = Recipe([Impute(["age"]), Scale(["age"])]).fit(pa.table({"age": [1.0, None, 3.0]}))
        >>> [(edge.source_column, edge.target_column, edge.how) for edge in prepared_columns(recipe, Node("run", "a1"))]
        [('age', 'age', 'Impute, Scale')]
    """
    return [
        ColumnEdge(run, source, run, column, ", ".join(origin.steps))
        for column, origin in column_origins(recipe).items()
        if origin.steps
        for source in origin.sources
    ]
