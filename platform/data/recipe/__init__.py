"""Recipes: preparation steps that are fitted once and give the same values for one row and for many."""

from .fitted import FittedRecipe
from .recipe import Recipe
from .steps import Cast, Impute, OneHot, Ordinal, Scale, Step

__all__ = ["Cast", "FittedRecipe", "Impute", "OneHot", "Ordinal", "Recipe", "Scale", "Step"]
