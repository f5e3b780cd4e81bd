"""A table version as a Ray Dataset: each read task gets some files, and prunes and filters while it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
import ray.data
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from .ray_tasks import quiet_data_context

_TASK_BYTES = 32 * 1024 * 1024
# Columns compressed and encoded take about a quarter of their size in memory.
_RATIO = 4


class TableSource(Datasource):
    """Files of one table version.

    Attributes:
        parts: Groups of fragments, one group per read task.
    """

    def __init__(
        self, parts: list[list[Any]], schema: pa.Schema, columns: list[str] | None, chosen: pc.Expression | None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts = parts
        self.schema = schema
        self.columns = columns
        self.chosen = chosen

    def estimate_inmemory_data_size(self) -> int | None:
        """Bytes of all files, unpacked."""
        return sum(_size(fragment) for part in self.parts for fragment in part) * _RATIO

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """One task per group of files."""
        names = self.columns or self.schema.names
        shown = pa.schema([self.schema.field(name) for name in names])
        tasks = []
        for part in self.parts:
            rows = None if self.chosen is not None else sum(fragment.metadata.num_rows for fragment in part)
            facts = BlockMetadata(
                num_rows=rows,
                size_bytes=sum(map(_size, part)) * _RATIO,
                input_files=tuple(fragment.path for fragment in part),
                exec_stats=None,
            )
            reader = _reader(part, self.schema, self.columns, self.chosen)
            tasks.append(ReadTask(reader, facts, schema=shown))
        return tasks


def table_dataset(
    fragments: list[Any], schema: pa.Schema, columns: list[str] | None, chosen: pc.Expression | None
) -> ray.data.Dataset:
    """A Dataset over the fragments; one empty block with the columns when there are none."""
    if not fragments:
        names = columns or schema.names
        return ray.data.from_arrow(pa.schema([schema.field(name) for name in names]).empty_table())
    # A Dataset keeps the context it was made in: what follows it shuffles the quick way.
    with quiet_data_context():
        found: ray.data.Dataset = ray.data.read_datasource(TableSource(_groups(fragments), schema, columns, chosen))
    return found


def _groups(fragments: list[Any]) -> list[list[Any]]:
    groups: list[list[Any]] = [[]]
    filled = 0
    for fragment in fragments:
        if filled >= _TASK_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(fragment)
        filled += _size(fragment)
    return groups


def _size(fragment: Any) -> int:
    return int(fragment.filesystem.get_file_info(fragment.path).size or 0)


def _reader(
    part: list[Any], schema: pa.Schema, columns: list[str] | None, chosen: pc.Expression | None
) -> Callable[[], Iterable[pa.Table]]:
    def blocks() -> Iterable[pa.Table]:
        dataset = pds.FileSystemDataset(part, schema, pds.ParquetFileFormat())
        scanner = dataset.scanner(columns=columns, filter=chosen, batch_size=262_144)
        empty = True
        for batch in scanner.to_batches():
            if batch.num_rows:
                empty = False
                yield pa.Table.from_batches([batch])
        if empty:
            yield scanner.projected_schema.empty_table()

    return blocks
