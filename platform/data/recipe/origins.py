"""Which output column of a fitted recipe was made from which input columns, and by which steps."""

from __future__ import annotations

from dataclasses import dataclass

from .compile import compile_step
from .fitted import FittedRecipe
from .layout import Layout


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an output column comes from.

    Attributes:
        sources: Input columns, in order.
        steps: Names of the steps that it went through, in order; none for a column that passed untouched.
    """

    sources: tuple[str, ...]
    steps: tuple[str, ...] = ()


def column_origins(recipe: FittedRecipe) -> dict[str, Origin]:
    """The origin of every output column: each step is compiled column by column, and what appears belongs to that one.

    Example:
        >>> import pyarrow as pa
        >>> from raylake.data import Impute, OneHot, Recipe
        >>> table = pa.table({"carrier": ["UA", "AA"], "age": [1.0, None], "distance": [5, 6]})
        >>> recipe = Recipe([Impute(["age"], by="carrier"), OneHot(["carrier"])]).fit(table)
        >>> for column, origin in column_origins(recipe).items():
        ...     print(column, origin.sources, origin.steps)
        carrier=AA ('carrier',) ('OneHot',)
        carrier=UA ('carrier',) ('OneHot',)
        age ('age', 'carrier') ('Impute',)
        distance ('distance',) ()
    """
    layout = Layout(recipe.inputs)
    known = {name: Origin((name,)) for name in recipe.inputs}
    for learned in recipe.steps:
        for name in learned["columns"]:
            before, old = {*layout.columns}, known[name]
            compile_step(layout, {**learned, "columns": [name]})
            by = learned.get("by")
            sources = (*old.sources, *(known[by].sources if by is not None else ()))
            made = Origin(tuple(dict.fromkeys(sources)), (*old.steps, learned["step"]))
            for column in layout.columns:
                # A step may keep its column beside what it makes of it (TextLength): then that is made anew as well.
                if column == name or column not in before:
                    known[column] = made
    return {column: known[column] for column in layout.columns}
