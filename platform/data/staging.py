"""Rows of any form written as files that wait for their commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from ..core import Workspace, ensure_ray
from .arrow_types import storable_schema
from .file_writer import FileWriter, NewFile

if TYPE_CHECKING:
    import ray.data

# An Arrow table, a stream of Arrow batches, or a Ray Dataset.
Rows: TypeAlias = "pa.Table | pa.RecordBatchReader | ray.data.Dataset"


def stage(
    ws: Workspace, url: str, data: Rows, stored: pa.Schema | None, partitions: Sequence[str]
) -> tuple[list[NewFile], pa.Schema]:
    """Write rows to files: an Arrow table or stream by this process, a Dataset by Ray tasks; after an error none stays.

    Args:
        ws: The workspace.
        url: The table's folder.
        data: The rows.
        stored: The table's columns when it exists: all-null columns take their type from it.
        partitions: The table's partition columns.

    Returns:
        The files, and the one schema that they all have.
    """
    if not isinstance(data, pa.Table | pa.RecordBatchReader):
        from .sink import write_dataset

        ensure_ray(ws)
        return write_dataset(url, data, stored, partitions)
    schema = storable_schema(data.schema, known=stored)
    writer = FileWriter(url, schema, partitions)
    try:
        for part in [data] if isinstance(data, pa.Table) else data:
            writer.write(part if isinstance(part, pa.Table) else pa.Table.from_batches([part]))
        return writer.close(), schema
    except BaseException:
        writer.discard()
        raise
