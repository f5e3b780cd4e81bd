"""Slices of rows: by the values of a column, or by quarters of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...core import SchemaMismatch

MOST_VALUES = 20


def slices(rows: pa.Table, columns: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name and row mask of each slice.

    Text, booleans and whole numbers of few values give one slice for each value (the 20 most frequent ones), other
    numbers one for each quarter of the rows; missing values are a slice of their own.

    Raises:
        SchemaMismatch: A column is not in `rows`, or holds neither text nor numbers.

    Example:
        >>> [(name, mask.sum().item()) for name, mask in slices(pa.table({"c": ["a", "b", "a", None]}), ["c"])]
        [('c=a', 2), ('c=b', 1), ('c is missing', 1)]
    """
    for name in columns:
        if name not in rows.column_names:
            raise SchemaMismatch(f"column {name!r} to slice by is not in the rows: they have {rows.column_names}")
        column = rows.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            raise SchemaMismatch(f"column {name!r} is {column.type}: slice by text, booleans or numbers")
        known = column.drop_null()
        if pa.types.is_floating(column.type):
            known = known.filter(pc.invert(pc.is_nan(known)))
        missing = _missing(column)
        number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        if number and pc.count_distinct(known).as_py() > MOST_VALUES:
            yield from _quarters(name, column, missing)
        else:
            yield from _values(name, column, known)
        if missing.any():
            yield f"{name} is missing", missing


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    found = pc.is_null(column, nan_is_null=True)
    return np.asarray(found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy())


def _values(name: str, column: pa.ChunkedArray, known: pa.ChunkedArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    counts = sorted(known.value_counts().to_pylist(), key=lambda one: (-one["counts"], str(one["values"])))
    for one in counts[:MOST_VALUES]:
        mask = pc.fill_null(pc.equal(column, pa.scalar(one["values"], column.type)), False)
        yield f"{name}={one['values']}", np.asarray(mask.to_numpy())


def _quarters(
    name: str, column: pa.ChunkedArray, missing: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    values = column.cast(pa.float64(), safe=False).to_numpy()
    edges = np.unique(np.quantile(values[~missing], [0.25, 0.5, 0.75]))
    place = np.searchsorted(edges, np.where(missing, 0, values), side="right")
    bounds = ["", *(f"{edge:.4g}" for edge in edges), ""]
    for number in range(len(edges) + 1):
        low, high = bounds[number], bounds[number + 1]
        text = f"{name} < {high}" if not low else f"{name} >= {low}" if not high else f"{low} <= {name} < {high}"
        mask = (place == number) & ~missing
        if mask.any():
            yield text, mask
