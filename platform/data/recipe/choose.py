"""The rows that a recipe learns from: those that no step leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core import SchemaMismatch
from ..partition import row_hashes
from .layout import Learned
from .rows import choosers, obeying

if TYPE_CHECKING:
    import ray.data

# How many parts equal rows of a Dataset are brought together in.
_PARTS = 64
_PART = "__raylake_part"
_PLACE, _HASH = "__raylake_place", "__raylake_hash"


def choose_rows(data: pa.Table | ray.data.Dataset, steps: Sequence[Learned]) -> Any:
    """The rows of a table or Dataset that the steps leave, which are the same for both.

    Raises:
        SchemaMismatch: A column of a step is not there.
    """
    for step in choosers(steps):
        data = _chosen(data, step) if isinstance(data, pa.Table) else _chosen_on_ray(data, step)
    return data


def chosen_places(parts: Iterable[pa.Table], steps: Sequence[Learned]) -> NDArray[np.int64]:
    """Places, ascending, of the rows that `choose_rows` leaves of tables laid end to end.

    Of each table only the columns that the steps choose by stay, beside 16 bytes a row.
    """
    used = {name for step in choosers(steps) for name in step["columns"]}
    narrow, begin = [], 0
    for part in parts:
        kept = part.select([name for name in part.column_names if name in used])
        kept = kept.append_column(_PLACE, pa.array(np.arange(begin, begin + part.num_rows)))
        narrow.append(kept.append_column(_HASH, pa.array(_hashes(part))))
        begin += part.num_rows
    if not narrow:
        return np.empty(0, np.int64)
    return np.asarray(choose_rows(pa.concat_tables(narrow), steps).column(_PLACE))


def _hashes(rows: pa.Table) -> Any:
    if _HASH in rows.column_names:
        return rows.column(_HASH).to_numpy()
    return row_hashes(rows.select(sorted(rows.column_names)), 0)


def _chosen(rows: pa.Table, step: Learned) -> pa.Table:
    missing = [name for name in step["columns"] if name not in rows.column_names]
    if missing:
        raise SchemaMismatch(
            f"{step['step']} names column {missing[0]!r}, which is not there; there are {rows.column_names}"
        )
    if step["step"] == "Validate":
        return rows.filter(pa.array(obeying(rows, step)))
    return distinct_rows(rows, step["columns"])


def _chosen_on_ray(data: ray.data.Dataset, step: Learned) -> ray.data.Dataset:
    from ..ray_tasks import quick_shuffle, task_errors

    if step["step"] == "Validate":
        return data.map_batches(lambda block: _chosen(block, step), batch_format="pyarrow", batch_size=None)

    def marked(block: pa.Table) -> pa.Table:
        parts = row_hashes(block.select(list(step["columns"])), 0) % np.uint64(_PARTS)
        return block.append_column(_PART, pa.array(parts.astype(np.int64)))

    def first(group: pa.Table) -> pa.Table:
        return _chosen(group.drop_columns([_PART]), step)

    together = data.map_batches(marked, batch_format="pyarrow", batch_size=None).groupby(_PART)
    # Kept in the object store: every pass of a fit would shuffle anew.
    with quick_shuffle(data), task_errors("Deduplicate"):
        kept: ray.data.Dataset = together.map_groups(first, batch_format="pyarrow").materialize()
    return kept


def distinct_rows(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """One row of those that are equal in `columns`: the one with the least hash; the order stays.

    Example:
        >>> distinct_rows(pa.table({"a": [1, 1, None, None], "b": [5, 5, 6, 6]}), ["a"]).to_pylist()
        [{'a': 1, 'b': 5}, {'a': None, 'b': 6}]
    """
    if not rows.num_rows:
        return rows
    groups = np.zeros(rows.num_rows, dtype=np.int64)
    for name in columns:
        codes = _codes(rows.column(name))
        # Dense again after each column, so that the product never overflows.
        _, groups = np.unique(groups * (int(codes.max()) + 1) + codes, return_inverse=True)
    # Equal rows with equal hashes are alike, whichever stays.
    order = np.lexsort((_hashes(rows), groups))
    first = np.flatnonzero(np.diff(groups[order], prepend=-1))
    return rows.take(pa.array(np.sort(order[first])))


def _codes(column: pa.ChunkedArray) -> Any:
    values = column.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        # 0.0 and -0.0 are one number.
        values = pa.array(values.to_numpy(zero_copy_only=False) + 0.0, values.type, mask=_nulls(values))
    encoded = values.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _nulls(values: pa.Array) -> Any:
    return values.is_null().to_numpy(zero_copy_only=False)
