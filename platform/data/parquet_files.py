"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from ..core import SourceError
from .connector import Cursor, RawBatch, Split
from .file_cursor import FoundFile, find_files, unread

_BATCH_ROWS = 131_072
# Columns compressed and encoded take about a quarter of their size in memory.
_RATIO = 4


@dataclass(frozen=True, slots=True)
class Parquet:
    """Parquet files; columns keep their types.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.

    Example:
        >>> Parquet(["a.parquet", "b.parquet"]).paths
        ('a.parquet', 'b.parquet')
    """

    paths: str | Sequence[str]

    typed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        listed = (self.paths,) if isinstance(self.paths, str) else tuple(str(path) for path in self.paths)
        object.__setattr__(self, "paths", listed)

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        new, after = unread(find_files(tuple(self.paths)), cursor)
        return [Split(file.path, {"path": file.path}, file.size * _RATIO) for file in new], after

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 131,072 rows."""
        file = FoundFile(str(split.address["path"]), 0, 0)
        try:
            with file.open() as handle, pq.ParquetFile(handle) as parquet:
                for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
                    yield RawBatch(pa.Table.from_batches([batch]))
                if parquet.metadata.num_rows == 0:
                    yield RawBatch(parquet.schema_arrow.empty_table())
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"file {split.name} is not readable Parquet: {error}. It may be truncated; fetch it again"
            ) from error
