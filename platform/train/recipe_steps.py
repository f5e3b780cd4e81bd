"""Recipes before they are fitted, as JSON and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..core import ConfigError
from ..data import Recipe
from ..data.recipe.steps import STEPS


def recipe_to_list(recipe: Recipe | None) -> list[dict[str, Any]] | None:
    """The steps of a recipe as JSON-able descriptions.

    Example:
        >>> from raylake.data import Scale
        >>> recipe_to_list(Recipe([Scale(["x"])]))[0]["step"]
        'Scale'
    """
    if recipe is None:
        return None
    return [
        {"step": type(step).__name__, **{each.name: getattr(step, each.name) for each in fields(step)}}
        for step in recipe.steps
    ]


def recipe_from_list(found: Any) -> Recipe | None:
    """The inverse of `recipe_to_list`.

    Raises:
        ConfigError: A step that this raylake does not know.
    """
    if found is None:
        return None
    if not isinstance(found, list):
        raise ConfigError(f"the recipe {found!r:.80} was stored by an older raylake, which only kept its text")
    steps = []
    for facts in found:
        settings = {name: tuples(value) for name, value in facts.items() if name != "step"}
        if facts["step"] not in STEPS:
            raise ConfigError(f"step {facts['step']!r} of the recipe is not known: use a raylake that has it")
        steps.append(STEPS[facts["step"]](**settings))
    return Recipe(steps)


def tuples(value: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(tuples(each) for each in value) if isinstance(value, list) else value
