"""One pass over the files of a table version: each part is worked on where it is read, and only results travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as pds

from ..core import Ref, Workspace, ensure_ray
from .storage_errors import storage_errors
from .summary import TableSummary, summarise

# Below this, starting tasks costs more than it gains: threads of the calling process do the work.
INLINE_BYTES = 256 * 1024 * 1024
_BATCH_ROWS = 1_048_576
_PART_BYTES = 64 * 1024 * 1024
_THREADS = 2

Found = TypeVar("Found")


def scan(ws: Workspace, ref: Ref, fragments: Sequence[Any], schema: pa.Schema, columns: list[str]) -> TableSummary:
    """The summary of all rows of the fragments.

    Memory holds a million rows per thread or task at a time, whatever the size of the table.

    Raises:
        StorageError: A file cannot be read, or a task was lost more often than Ray retries.
    """
    work = _Summarising(schema, tuple(columns))
    return reduce(TableSummary.merge, in_parts(ws, ref, fragments, work), work([]))


def in_parts(ws: Workspace, ref: Ref, fragments: Sequence[Any], work: Callable[[list[Any]], Found]) -> Iterator[Found]:
    """Apply `work` to groups of files: in threads while the files are small, in Ray tasks beyond; results as they come.

    Args:
        ws: The workspace.
        ref: The table, for messages.
        fragments: The version's files.
        work: From a list of fragments to a result; picklable.

    Raises:
        StorageError: A file cannot be read, or a task was lost more often than Ray retries.
    """
    sizes = [int(each.filesystem.get_file_info(each.path).size or 0) for each in fragments]
    if sum(sizes) <= INLINE_BYTES:
        with storage_errors(ws.table_url(ref)), ThreadPoolExecutor(_THREADS) as pool:
            yield from pool.map(work, [[each] for each in fragments])
        return
    ensure_ray(ws)
    import ray

    from .ray_tasks import task_errors

    task: Any = ray.remote(num_cpus=1)(_call)
    with task_errors(f"a pass over {ref}"):
        waiting = [task.remote(work, group) for group in _grouped(fragments, sizes)]
        while waiting:  # as they come: the driver holds one result, not one per part
            done, waiting = ray.wait(waiting)
            yield ray.get(done[0])


def _call(work: Callable[[list[Any]], Found], fragments: list[Any]) -> Found:
    return work(fragments)


def batches(fragments: list[Any], schema: pa.Schema, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of the files, a million at a time."""
    dataset = pds.FileSystemDataset(fragments, schema, pds.ParquetFileFormat())
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in dataset.scanner(columns=list(columns), use_threads=False, batch_size=131_072).to_batches():
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _BATCH_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting)


@dataclass(frozen=True, slots=True)
class _Summarising:
    """Summarises the columns of some files; a value, so that it travels to a task."""

    schema: pa.Schema
    columns: tuple[str, ...]

    def __call__(self, fragments: list[Any]) -> TableSummary:
        nothing = summarise(pa.schema([self.schema.field(name) for name in self.columns]).empty_table())
        parts: Iterable[TableSummary] = ()
        if fragments:
            parts = (summarise(batch) for batch in batches(fragments, self.schema, self.columns))
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
