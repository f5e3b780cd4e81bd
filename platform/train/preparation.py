"""The recipe that a trainer needs when the Spec names none."""

from __future__ import annotations

import pyarrow as pa

from .. import data
from .trainer import Trainer


def default_recipe(trainer: Trainer, schema: pa.Schema) -> data.Recipe | None:
    """Steps derived from the column types, or ``None`` when the columns can be used as they are.

    Trees take text as ordinal codes and missing values as they are. Networks and estimators of scikit-learn take text
    as one column per category, and imputed, scaled numbers. Pipelines and functions take the columns as they are.

    Example:
        >>> from raylake.train import XGBoost
        >>> default_recipe(XGBoost(), pa.schema([("a", pa.int64())])) is None
        True
    """
    text = [field.name for field in schema if _is_text(field.type)]
    if trainer.takes == "columns":
        return None
    if trainer.takes == "numbers":
        return data.Recipe([data.Ordinal(text)]) if text else None
    numbers = [field.name for field in schema if not _is_text(field.type)]
    steps: list[data.Step] = []
    if numbers:
        steps += [data.Impute(numbers, "mean"), data.Scale(numbers)]
    if text:
        steps.append(data.OneHot(text))
    return data.Recipe(steps)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))
