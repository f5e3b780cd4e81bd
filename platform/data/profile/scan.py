"""One pass over a table version: each part is summarised where it is read, and only summaries travel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pds

from ...core import Ref, Workspace, ensure_ray
from ..storage_errors import storage_errors
from ..summary import TableSummary, summarise

# Below this, starting tasks costs more than it gains: threads of the calling process do the work.
INLINE_BYTES = 256 * 1024 * 1024
_BATCH_ROWS = 1_048_576
_PART_BYTES = 64 * 1024 * 1024
_THREADS = 2


def scan(ws: Workspace, ref: Ref, fragments: Sequence[Any], schema: pa.Schema, columns: list[str]) -> TableSummary:
    """The summary of all rows of the fragments.

    Memory holds a million rows per thread or task at a time, whatever the size of the table.

    Raises:
        StorageError: A file cannot be read, or a task was lost more often than Ray retries.
    """
    sizes = [int(each.filesystem.get_file_info(each.path).size or 0) for each in fragments]
    with storage_errors(ws.table_url(ref)):
        if sum(sizes) <= INLINE_BYTES:
            return _inline(fragments, schema, columns)
    ensure_ray(ws)
    return _distributed(_grouped(fragments, sizes), schema, columns, str(ref))


def _inline(fragments: Sequence[Any], schema: pa.Schema, columns: list[str]) -> TableSummary:
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = pool.map(lambda each: _merged(_summaries([each], schema, columns), schema, columns), fragments)
        return _merged(parts, schema, columns)


def _distributed(groups: list[list[Any]], schema: pa.Schema, columns: list[str], what: str) -> TableSummary:
    import ray

    from ..ray_tasks import task_errors

    task = ray.remote(num_cpus=1)(_summarise_group)
    with task_errors(f"the profile of {what}"):
        waiting = [task.remote(group, schema, columns) for group in groups]
        found = _merged((), schema, columns)
        while waiting:  # merged as they come: the driver holds one summary, not one per part
            done, waiting = ray.wait(waiting)
            found = found.merge(ray.get(done[0]))
    return found


def _summarise_group(fragments: list[Any], schema: pa.Schema, columns: list[str]) -> TableSummary:
    return _merged(_summaries(fragments, schema, columns), schema, columns)


def _summaries(fragments: list[Any], schema: pa.Schema, columns: list[str]) -> Iterator[TableSummary]:
    dataset = pds.FileSystemDataset(fragments, schema, pds.ParquetFileFormat())
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in dataset.scanner(columns=columns, use_threads=False, batch_size=131_072).to_batches():
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _BATCH_ROWS:
            yield summarise(pa.Table.from_batches(waiting))
            waiting, rows = [], 0
    if rows:
        yield summarise(pa.Table.from_batches(waiting))


def _merged(parts: Iterable[TableSummary], schema: pa.Schema, columns: list[str]) -> TableSummary:
    nothing = summarise(pa.schema([schema.field(name) for name in columns]).empty_table())
    return reduce(TableSummary.merge, parts, nothing)


def _grouped(fragments: Sequence[Any], sizes: Sequence[int]) -> list[list[Any]]:
    groups: list[list[Any]] = [[]]
    filled = 0
    for fragment, size in zip(fragments, sizes, strict=True):
        if filled and filled + size > _PART_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(fragment)
        filled += size
    return groups
