"""The Ray Data sink: tasks write files, the driver gets back what they wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from ray.data import Dataset
from ray.data.block import Block, BlockAccessor
from ray.data.datasource import Datasink, WriteResult

from ..core import SchemaMismatch
from .arrow_types import storable_schema
from .file_writer import FileWriter, NewFile, remove_files
from .ray_tasks import quiet_data_context, task_errors

# Blocks are bundled to this size per task, so that small blocks do not become small files.
_BUNDLE_BYTES = 64 * 1024 * 1024


class DeltaSink(Datasink[list[NewFile]]):
    """Writes blocks to Parquet files in a table's folder; commits nothing.

    Attributes:
        files: After the job, every file of the attempts that succeeded.
    """

    def __init__(self, url: str, stored: pa.Schema | None, partition_by: Sequence[str]) -> None:
        self.url = url
        self.stored = stored
        self.partition_by = tuple(partition_by)
        self.files: list[NewFile] = []
        self.schema: pa.Schema | None = None

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Fix the schema of every file from the first block."""
        if isinstance(schema, pa.Schema):
            self.schema = storable_schema(schema, known=self.stored)

    def write(self, blocks: Iterable[Block], ctx: Any) -> list[NewFile]:
        """Write the blocks of one task; several files only above the target size."""
        writer: FileWriter | None = None
        try:
            for block in blocks:
                table = BlockAccessor.for_block(block).to_arrow()
                if table.num_rows == 0:
                    continue
                if writer is None:
                    schema = self.schema or storable_schema(table.schema, known=self.stored)
                    writer = FileWriter(self.url, schema, self.partition_by)
                _check_columns(table, writer.schema)
                writer.write(table)
            return writer.close() if writer is not None else []
        except BaseException:
            if writer is not None:
                writer.discard()
            raise

    def on_write_complete(self, write_result: WriteResult[list[NewFile]]) -> None:
        """Collect the files; the caller commits them."""
        self.files = [file for files in write_result.write_returns for file in files or ()]

    @property
    def min_bytes_per_write(self) -> int:
        """Bytes of input per task."""
        return _BUNDLE_BYTES


def write_dataset(
    url: str, data: Dataset, stored: pa.Schema | None, partition_by: Sequence[str]
) -> tuple[list[NewFile], pa.Schema]:
    """Write a Dataset's blocks as files; return them with the one schema that they all have."""
    sink = DeltaSink(url, stored, partition_by)
    with quiet_data_context(), task_errors(url):
        data.write_datasink(sink)
    if sink.schema is None:
        base = data.schema()
        found = getattr(base, "base_schema", base)
        if not isinstance(found, pa.Schema):
            raise SchemaMismatch(f"the Dataset for {url} has no columns: give it at least one row or a schema")
        sink.schema = storable_schema(found, known=stored)
    _check_same_schema(url, sink)
    return sink.files, sink.schema


def _check_same_schema(url: str, sink: DeltaSink) -> None:
    assert sink.schema is not None
    expected = {field.name: str(field.type) for field in sink.schema}
    for file in sink.files:
        if dict(file.columns) != expected:
            remove_files(url, [one.path for one in sink.files])
            raise SchemaMismatch(
                f"blocks of the Dataset for {url} differ: {expected} and {dict(file.columns)}. Cast them to one schema"
            )


def _check_columns(table: pa.Table, schema: pa.Schema) -> None:
    if set(table.column_names) != set(schema.names):
        raise SchemaMismatch(
            f"blocks of one Dataset have different columns: {schema.names} and {table.column_names}. Align them first"
        )
