"""Recipes: preparation steps that are fitted once and give the same values for one row and for many."""

from .categories import HashEncode, OneHot, Ordinal, TargetEncode
from .fitted import FittedRecipe
from .impute import Impute
from .kinds import Cast, DateParts, Lower, NGrams, TextLength
from .numeric import Clip, Log, Scale, YeoJohnson
from .preview import Preview
from .recipe import Recipe
from .step import Step

__all__ = [
    "Cast",
    "Clip",
    "DateParts",
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
    "YeoJohnson",
]
