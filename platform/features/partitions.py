"""The point-in-time join on Ray, for labels and values larger than memory.

Rows are split by a hash of their keys with one task per block, and joined with one task per partition; each labels
block then collects its rows' answers. Every task holds one block or one partition, and only the features travel back,
so memory stays bounded by the number of partitions whatever the size of the tables; Ray's object store spills to
disk what does not fit. The driver sees references and row counts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..core import ConfigError, Workspace, ensure_ray
from .as_of import Join, check_join, join_all, normalised_keys

if TYPE_CHECKING:
    from ray.data import Dataset

PARTITION_BYTES = 64 * 1024**2
_BLOCK = "__block__"
_PLACE = "__place__"


def join_as_of_dataset(
    ws: Workspace,
    labels: Dataset,
    values: Dataset,
    *,
    keys: str | Sequence[str],
    label_time: str,
    event_time: str,
    columns: Sequence[str],
    ttl: str | timedelta | None = None,
    created_time: str | None = None,
    partitions: int | None = None,
) -> Dataset:
    """`join_as_of` on Ray: same arguments, same answer, same rows in the same order, in bounded memory.

    Args:
        ws: Workspace; its Ray session is joined or started.
        labels: Ray Dataset of labels; blocks keep their order.
        values: Ray Dataset of values.
        keys: See `join_as_of`; likewise label_time, event_time, columns, ttl and created_time.
        partitions: Number of key partitions; by default one per 64 MiB of input. One entity's rows are never split.

    Returns:
        Ray Dataset: `labels` with `columns` appended, block by block.

    Raises:
        SchemaMismatch: See `join_as_of`.

    Example:
        >>> import ray
        >>> from datetime import UTC, datetime
        >>> at = lambda hour: datetime(2013, 1, 1, hour, tzinfo=UTC)
        >>> _ = ensure_ray(ws)
        >>> labels = ray.data.from_arrow(pa.table({"origin": ["EWR", "EWR"], "t": [at(8), at(5)]}))
        >>> weather = ray.data.from_arrow(pa.table({"origin": ["EWR"], "seen": [at(6)], "temp": [39.0]}))
        >>> joined = join_as_of_dataset(
        ...     ws, labels, weather, keys="origin", label_time="t", event_time="seen", columns=["temp"], ttl="3h"
        ... )
        >>> [row["temp"] for row in joined.take_all()]
        [39.0, None]
    """
    import ray

    ensure_ray(ws)
    keys = (keys,) if isinstance(keys, str) else tuple(keys)
    labels, values = labels.materialize(), values.materialize()
    rows = labels.to_arrow_refs()
    side = Side(values.to_arrow_refs(), event_time, tuple(columns), ttl, created_time)
    check_join(_schema(labels), _schema(values), keys, label_time, event_time, columns, created_time)
    count = (
        partitions
        if partitions is not None
        else partitions_for((labels.size_bytes() or 0) + (values.size_bytes() or 0))
    )
    answers = join_blocks(rows, keys, label_time, [side], count)
    attach = ray.remote(attach_answers)
    return ray.data.from_arrow_refs([attach.remote(block, *found) for block, found in zip(rows, answers, strict=True)])


@dataclass(frozen=True, slots=True)
class Side:
    """The values of one view: references of Arrow blocks; the rest as the arguments of `join_as_of`."""

    blocks: Sequence[Any]
    event_time: str
    columns: tuple[str, ...]
    ttl: str | timedelta | None = None
    created_time: str | None = None

    @property
    def times(self) -> tuple[str, ...]:
        """Event time, and created time if there is one."""
        return (self.event_time,) if self.created_time is None else (self.event_time, self.created_time)


def join_blocks(
    labels: Sequence[Any], keys: Sequence[str], label_time: str, sides: Sequence[Side], count: int
) -> list[list[Any]]:
    """Join views of the same keys to blocks of labels in one pass; nothing is looked at or moved by the driver.

    Args:
        labels: References of Arrow blocks.
        keys: Key columns.
        label_time: Time column of the labels.
        sides: The views.
        count: Number of partitions.

    Returns:
        For each block `count` references, whose tables `attach_answers` takes.

    Raises:
        ConfigError: `count` is below 1.
    """
    import ray

    if count < 1:
        raise ConfigError(f"partitions {count} is not valid: use 1 or more")
    left = _split(labels, count, keys, [*keys, label_time])
    right = [_split(one.blocks, count, keys, [*keys, *one.times, *one.columns]) for one in sides]
    told = [(len(one.blocks), replace(one, blocks=())) for one in sides]
    join = ray.remote(num_returns=len(labels))(_join_partition)
    joined = []
    for part in range(count):
        blocks = [block[part] for side in [left, *right] for block in side]
        made = join.remote(tuple(keys), label_time, len(labels), told, *blocks)
        joined.append(made if isinstance(made, list) else [made])
    return [[parts[index] for parts in joined] for index in range(len(labels))]


def partitions_for(size: int) -> int:
    """Number of partitions for so many bytes."""
    return max(1, -(-size // PARTITION_BYTES))


def _schema(dataset: Dataset) -> pa.Schema:
    schema = dataset.schema()
    base = None if schema is None else schema.base_schema
    if not isinstance(base, pa.Schema):
        raise ConfigError(
            "a dataset to join must have at least one row and Arrow blocks; give it as a pyarrow.Table instead"
        )
    return base


def _split(blocks: Sequence[Any], count: int, keys: Sequence[str], columns: Sequence[str]) -> list[list[Any]]:
    import ray

    split = ray.remote(num_returns=count)(_split_block)
    made = [split.remote(block, index, count, keys, columns) for index, block in enumerate(blocks)]
    return [refs if isinstance(refs, list) else [refs] for refs in made]


def _split_block(block: pa.Table, index: int, count: int, keys: Sequence[str], columns: Sequence[str]) -> Any:
    """Rows of a block by partition, with the block's number and each row's place in it."""
    table = block.select(list(columns))
    table = table.append_column(_BLOCK, pa.array(np.full(table.num_rows, index, dtype=np.int64)))
    table = table.append_column(_PLACE, pa.array(np.arange(table.num_rows, dtype=np.int64)))
    hashes = normalised_keys(table, keys).hash_rows(seed=0).to_numpy() % np.uint64(count)
    order = np.argsort(hashes, kind="stable")
    bounds = np.searchsorted(hashes[order], np.arange(count + 1, dtype=np.uint64))
    # take() copies: a slice would carry the whole block into the object store with each part
    parts = [table.take(pa.array(order[bounds[i] : bounds[i + 1]])) for i in range(count)]
    return parts if count > 1 else parts[0]


def _join_partition(
    keys: tuple[str, ...], label_time: str, blocks: int, sides: Sequence[tuple[int, Side]], *parts: pa.Table
) -> Any:
    """Join one partition, whose first `blocks` parts are labels; the answers, one table per labels block."""
    left = pa.concat_tables(parts[:blocks])
    start, joins = blocks, []
    for count, side in sides:
        values = pa.concat_tables(parts[start : start + count], promote_options="permissive").drop([_BLOCK, _PLACE])
        joins.append(Join(values, keys, side.event_time, side.columns, side.ttl, side.created_time))
        start += count
    answer = join_all(left, label_time, joins).select([_PLACE, *(name for one in joins for name in one.columns)])
    bounds = np.searchsorted(left[_BLOCK].to_numpy(), np.arange(blocks + 1))  # parts came in block order
    tables = [answer.slice(bounds[i], bounds[i + 1] - bounds[i]) for i in range(blocks)]
    return tables if blocks > 1 else tables[0]


def attach_answers(block: pa.Table, *answers: pa.Table) -> pa.Table:
    """A labels block with its answers of every partition, in its own order."""
    merged = pa.concat_tables(answers)
    place = np.empty(block.num_rows, dtype=np.int64)
    place[merged[_PLACE].to_numpy()] = np.arange(block.num_rows)
    for name in merged.column_names:
        if name != _PLACE:
            block = block.append_column(name, merged[name].take(pa.array(place)))
    return block
