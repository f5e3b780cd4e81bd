"""What a model takes and gives: ordered columns with their types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..core import SchemaMismatch

_FLOAT32 = pa.float32()


@dataclass(frozen=True, slots=True)
class Signature:
    """The columns of a model.

    Attributes:
        columns: Input columns, in order, with their Arrow types as text (before the recipe).
        label: Label column.
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: The labels in the order of their probabilities (``binary``: of probability 0 and 1); empty for
            regression.

    Example:
        >>> import pyarrow as pa
        >>> found = Signature.of(pa.schema([("a", pa.int64()), ("b", pa.string())]), "late", "binary")
        >>> found.names, found.schema.field("b").type
        (('a', 'b'), DataType(string))
    """

    columns: tuple[tuple[str, str], ...]
    label: str
    task: str = "binary"
    classes: tuple[int | str, ...] = ()

    @classmethod
    def of(cls, schema: pa.Schema, label: str, task: str, classes: Sequence[int | str] = ()) -> Signature:
        """The signature of rows with `schema`; a binary label without classes is 0 and 1."""
        columns = tuple((field.name, str(field.type)) for field in schema)
        return cls(columns, label, task, tuple(classes) or ((0, 1) if task == "binary" else ()))

    @property
    def outputs(self) -> int:
        """Numbers that a row gets: one, or a probability for each of several classes."""
        return len(self.classes) if self.task == "multiclass" else 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input columns, in order."""
        return tuple(name for name, _ in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the input columns."""
        return _schema(self.columns)

    def select(self, table: pa.Table) -> pa.Table:
        """The input columns of `table`, in order and cast to the signature's types; other columns are ignored.

        Raises:
            SchemaMismatch: A column is missing, or its values do not fit the type.
        """
        missing = [name for name in self.names if name not in table.column_names]
        if missing:
            raise SchemaMismatch(
                f"column(s) {', '.join(map(repr, missing))} missing: the model takes {', '.join(self.names)}"
            )
        chosen = table.select(self.names)
        schema = self.schema
        return chosen if chosen.schema.equals(schema) else _cast(chosen, schema)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        columns = [{"name": name, "type": text} for name, text in self.columns]
        return {"columns": columns, "label": self.label, "task": self.task, "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Signature:
        """The inverse of `to_dict`."""
        columns = tuple((str(item["name"]), str(item["type"])) for item in found["columns"])
        return cls(columns, found["label"], found["task"], tuple(found["classes"]))


def parse_type(text: str) -> pa.DataType:
    """The Arrow type that prints as `text`.

    Example:
        >>> parse_type("timestamp[us, tz=UTC]")
        TimestampType(timestamp[us, tz=UTC])
    """
    if text.startswith("timestamp["):
        unit, _, zone = text.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
        return pa.timestamp(unit, tz=zone or None)
    if text.startswith("dictionary<"):
        return pa.string()
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    try:
        return pa.type_for_alias(names.get(text, text))
    except ValueError as error:
        raise SchemaMismatch(
            f"column type {text!r} is not supported in a model's signature: cast the column first"
        ) from error


@lru_cache(maxsize=256)
def _schema(columns: tuple[tuple[str, str], ...]) -> pa.Schema:
    return pa.schema([(name, parse_type(text)) for name, text in columns])


def to_matrix(table: pa.Table, columns: Sequence[str]) -> NDArray[np.float32]:
    """Numeric and bool columns as one float32 (rows, columns) matrix in C order; null becomes NaN.

    Raises:
        SchemaMismatch: A column is missing or holds neither numbers nor booleans.

    Example:
        >>> to_matrix(pa.table({"a": [1, None], "b": [True, False]}), ["a", "b"]).tolist()
        [[1.0, 1.0], [nan, 0.0]]
    """
    matrix = np.empty((table.num_rows, len(columns)), dtype=np.float32)
    for index, name in enumerate(columns):
        column = table.column(name)
        if column.type == _FLOAT32 and not column.null_count:
            matrix[:, index] = column.to_numpy()
            continue
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        elif not _is_number(column.type):
            raise SchemaMismatch(
                f"column {name!r} is {column.type} after the recipe, and a model takes numbers: "
                "add data.Ordinal, data.OneHot or data.Cast for it to the recipe, or leave it out"
            )
        matrix[:, index] = column.cast(_FLOAT32, safe=False).to_numpy(zero_copy_only=False)
    return matrix


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    )


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        column = table.column(field.name)
        try:
            columns.append(column if column.type == field.type else pc.cast(column, field.type))
        except pa.ArrowInvalid as error:
            raise SchemaMismatch(
                f"column {field.name!r} is {column.type} and does not fit the model's {field.type}: {error}"
            ) from error
        except pa.ArrowNotImplementedError as error:
            raise SchemaMismatch(
                f"column {field.name!r} is {column.type}, and the model takes {field.type}: convert it first"
            ) from error
    return pa.table(columns, schema=schema)
