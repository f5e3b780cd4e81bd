"""Batches in memory, and which of their rows a filter means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from ..core import ConfigError, SchemaMismatch, Workspace, ensure_ray
from .arrow_types import storable_schema
from .read import Filter, as_expression

if TYPE_CHECKING:
    import ray.data


def batch_of(ws: Workspace, data: pa.Table | ray.data.Dataset) -> pa.Table:
    """The rows in this process's memory.

    Raises:
        SchemaMismatch: A Dataset has no columns.
    """
    if isinstance(data, pa.Table):
        return data
    import ray

    ensure_ray(ws)
    parts = [part for part in ray.get(data.to_arrow_refs()) if part.num_columns]
    if not parts:
        raise SchemaMismatch("the Dataset has no columns: give it at least one row or a schema")
    return pa.concat_tables(parts, promote_options="default")


def mask_of(rows: pa.Table, chosen: Filter) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each row whether the filter means it; null counts as no, no filter as no row."""
    if chosen is None:
        return np.zeros(rows.num_rows, dtype=bool)
    plain = rows.cast(storable_schema(rows.schema)) if rows.num_columns else rows
    hit = pds.dataset(plain).to_table(columns={"hit": meant(chosen, plain.schema)}).column("hit")
    return np.asarray(hit.to_numpy())


def meant(chosen: Filter, schema: pa.Schema) -> pc.Expression:
    """A filter as an expression that is true or false, never null.

    Raises:
        ConfigError: It is not a filter.
        SchemaMismatch: It names a column that does not exist.
    """
    try:
        expression = as_expression(chosen)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{chosen!r} is not a filter: use rows such as [('origin', '==', 'EWR')], or a pyarrow expression"
        ) from error
    if expression is None:
        raise ConfigError("no filter is given: say which rows are meant, such as [('origin', '==', 'EWR')]")
    sure = pc.coalesce(expression, pc.scalar(False))
    try:
        pds.dataset(schema.empty_table()).to_table(columns={"hit": sure})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise SchemaMismatch(f"the filter {expression} does not fit the columns {schema.names}: {error}") from error
    return sure
