"""Functions that recipes of the tests call by their import path."""

from __future__ import annotations

from typing import Any

import numpy as np

from raylake import data


@data.recipe_function
def mix(number: Any, word: Any, moment: Any, *, weight: float = 2.0) -> tuple[Any, Any]:
    """A number of all three kinds of columns, and whether the word is there."""
    length = np.array([-1.0 if item is None else float(len(item)) for item in word])
    days = (moment - np.datetime64("2000-01-01", "us")) / np.timedelta64(1, "D")
    return number * weight + length + np.where(np.isnat(moment), 0.0, days), length >= 0


@data.recipe_function
def louder(word: Any) -> list[str | None]:
    """Text to text."""
    return [None if item is None else item.upper() + "!" for item in word]


@data.recipe_function
def centred(number: Any) -> Any:
    """Looks at other rows, which a step must not."""
    return number - np.nanmean(number)


@data.recipe_function
def too_short(number: Any) -> Any:
    """Returns one value for all."""
    return np.array([1.0])


def unmarked(number: Any) -> Any:
    """Not meant for recipes."""
    return number
