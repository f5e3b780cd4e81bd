"""Labels: what task they ask for, which classes they have, and their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..core import DataError, SchemaMismatch

if TYPE_CHECKING:
    from .spec import Spec

MOST_CLASSES = 1_000
Classes = tuple[int | str, ...]


def labels_of(column: pa.ChunkedArray, classes: Classes = ()) -> NDArray[np.float32]:
    """Labels as float32 (n,): numbers and booleans as they are, classes as their position in `classes`.

    Raises:
        DataError: A label is none of the classes.

    Example:
        >>> labels_of(pa.chunked_array([["b", "a"]]), ("a", "b")).tolist()
        [1.0, 0.0]
    """
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if classes and classes != (0, 1):
        known = pa.array(list(classes)).cast(column.type)
        places = pc.index_in(column, value_set=known)
        if places.null_count:
            strange = pc.unique(column.filter(pc.is_null(places))).slice(0, 3).to_pylist()
            raise DataError(f"label(s) {strange} are none of the model's classes: {_some(classes)}")
        column = places
    return np.asarray(column.cast(pa.float32(), safe=False).to_numpy())


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What a label column's rows say, some at a time; two of them merge into that of all rows.

    Attributes:
        rows: Number of rows.
        missing: Rows without a label, NaN included.
        type: The column's type.
        values: Its different values, the smallest first; at most `MOST_CLASSES` + 1 of them.
    """

    rows: int
    missing: int
    type: pa.DataType
    values: tuple[Any, ...]

    @classmethod
    def of(cls, label: pa.ChunkedArray | pa.Array) -> LabelFacts:
        """Of these rows.

        Example:
            >>> LabelFacts.of(pa.array([1, None, 0])).values
            (0, 1)
        """
        kind = label.type.value_type if pa.types.is_dictionary(label.type) else label.type
        missing = label.null_count
        if pa.types.is_floating(kind):
            missing += pc.sum(pc.is_nan(label)).as_py() or 0
        if not _learnable(kind):
            return cls(len(label), missing, kind, ())
        values = pc.unique(label.drop_null()).cast(kind).sort().slice(0, MOST_CLASSES + 1).to_pylist()
        return cls(len(label), missing, kind, tuple(sorted(set(values))))

    def merge(self, other: LabelFacts) -> LabelFacts:
        """Of the rows of both."""
        values = tuple(sorted({*self.values, *other.values})[: MOST_CLASSES + 1])
        return LabelFacts(self.rows + other.rows, self.missing + other.missing, self.type, values)


def task_of(spec: Spec, label: LabelFacts, table: str) -> tuple[str, Classes]:
    """The task of a label column, and its classes in order (none for regression).

    Booleans and 0/1 are binary, text has classes, other numbers are values, unless the Spec or its trainer says else.

    Raises:
        DataError: No rows, nulls, or values that do not fit the task.
        SchemaMismatch: A type that cannot be learned.
    """
    name = spec.target
    if not label.rows:
        raise DataError(f"training set {table} has 0 rows: check its labels and its `where` window")
    if label.missing:
        raise DataError(f"label {name!r} of {table} is null in {label.missing} of {label.rows} rows: drop these rows")
    if not _learnable(label.type):
        raise SchemaMismatch(f"label {name!r} of {table} is {label.type}: use bool, text, 0/1 integers or numbers")
    asked = spec.trainer.task() or (None if spec.task == "auto" else spec.task)
    if _is_text(label.type):
        return _of_text(asked, label.values, name, table)
    binary = set(label.values) <= {0, 1}
    if asked == "binary" and not binary:
        raise DataError(
            f"label {name!r} of {table} has values such as {list(label.values[:3])}: "
            "a binary label is 0/1, bool or two texts"
        )
    if asked == "multiclass":
        return "multiclass", _numbered(label, name, table)
    task = asked or ("binary" if binary else "regression")
    return task, (0, 1) if task == "binary" else ()


def check_classes(label: LabelFacts, classes: Classes, name: str, table: str) -> None:
    """Raise DataError unless the training rows have every class."""
    if len(label.values) == 1:
        raise DataError(
            f"label {name!r} of {table} is {label.values[0]} in all {label.rows} training rows: "
            "a classifier needs both classes; widen the window of the training set"
        )
    lacking = sorted(set(classes) - set(label.values), key=str)
    if lacking:
        raise DataError(
            f"label {name!r} of {table} has {_some(tuple(lacking))} in the validation rows only: "
            "widen the window of the training set, or leave these rows out"
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _learnable(kind: pa.DataType) -> bool:
    return _is_text(kind) or bool(pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _of_text(asked: str | None, classes: tuple[str, ...], name: str, table: str) -> tuple[str, Classes]:
    if asked == "regression":
        raise DataError(f"label {name!r} of {table} is text, and the task is regression: use numbers")
    if len(classes) > MOST_CLASSES:
        raise DataError(f"label {name!r} of {table} has more than {MOST_CLASSES} different texts: these are no classes")
    if asked == "binary" and len(classes) > 2:
        raise DataError(f"label {name!r} of {table} has {len(classes)} classes, and the task is binary")
    return asked or ("binary" if len(classes) <= 2 else "multiclass"), classes


def _numbered(label: LabelFacts, name: str, table: str) -> Classes:
    if pa.types.is_floating(label.type):
        raise DataError(f"label {name!r} of {table} is {label.type}: classes are text or whole numbers, cast it first")
    if len(label.values) > MOST_CLASSES:
        raise DataError(f"label {name!r} of {table} has more than {MOST_CLASSES} values: these are no classes")
    return (0, 1) if pa.types.is_boolean(label.type) else label.values


def _some(classes: Classes) -> str:
    return ", ".join(map(repr, classes[:5])) + ("…" if len(classes) > 5 else "")
