"""Recipes: preparation steps that are fitted once and give the same values for one row and for many."""

from .categories import HashEncode, OneHot, Ordinal, TargetEncode
from .custom import Custom, recipe_function
from .enrich import Enrich
from .fitted import FittedRecipe
from .impute import Impute
from .kinds import Cast, DateParts, Drop, Lower, NGrams, TextLength
from .numeric import Clip, Log, Scale, YeoJohnson
from .preview import Preview
from .recipe import Recipe
from .rows import Deduplicate, Validate
from .step import Step

__all__ = [
    "Cast",
    "Clip",
    "Custom",
    "DateParts",
    "Deduplicate",
    "Drop",
    "Enrich",
    "FittedRecipe",
    "HashEncode",
    "Impute",
    "Log",
    "Lower",
    "NGrams",
    "OneHot",
    "Ordinal",
    "Preview",
    "Recipe",
    "Scale",
    "Step",
    "TargetEncode",
    "TextLength",
    "Validate",
    "YeoJohnson",
    "recipe_function",
]
