"""Rows of any form written as files that wait for their commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ..core import Workspace, ensure_ray
from .arrow_types import storable_schema
from .file_writer import FileWriter, NewFile

if TYPE_CHECKING:
    import ray.data


def stage(
    ws: Workspace, url: str, data: pa.Table | ray.data.Dataset, stored: pa.Schema | None, partitions: Sequence[str]
) -> tuple[list[NewFile], pa.Schema]:
    """Write rows to files: an Arrow table by this process, a Dataset by Ray tasks. After an error none is left.

    Args:
        ws: The workspace.
        url: The table's folder.
        data: The rows.
        stored: The table's columns when it exists: all-null columns take their type from it.
        partitions: The table's partition columns.

    Returns:
        The files, and the one schema that they all have.
    """
    if not isinstance(data, pa.Table):
        from .sink import write_dataset

        ensure_ray(ws)
        return write_dataset(url, data, stored, partitions)
    schema = storable_schema(data.schema, known=stored)
    writer = FileWriter(url, schema, partitions)
    try:
        writer.write(data)
        return writer.close(), schema
    except BaseException:
        writer.discard()
        raise
