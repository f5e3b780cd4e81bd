"""Avro object container files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...core import SourceError
from ..connector import Cursor, RawBatch, Split
from ..optional import need
from ..records import grouped, table_of
from .file_streams import listed, open_stream, plan_files, reading


@dataclass(frozen=True, slots=True)
class Avro:
    """Avro files; logical types (dates, times, decimals, UUIDs) are understood. Needs ``raylake[avro]``.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.

    Example:
        >>> Avro("raw/*.avro").paths
        ('raw/*.avro',)
    """

    paths: str | Sequence[str]

    sparse: ClassVar[bool] = True
    typed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        need("fastavro", "avro")
        return plan_files(self.paths, cursor, ratio=4)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 16,384 records."""
        fastavro = need("fastavro", "avro")
        with reading(split.name, "Avro"), open_stream(split) as stream:
            try:
                records = fastavro.reader(stream)
                names = [field["name"] for field in records.writer_schema.get("fields", ())]
                for part in grouped(records):
                    yield RawBatch(table_of(part, names))
            except (struct.error, TypeError, AttributeError, SystemError, MemoryError) as error:
                # SystemError: the compiled reader met a negative length.
                raise SourceError(
                    f"file {split.name} is not readable as Avro records: {error}. Fetch it again"
                ) from error
