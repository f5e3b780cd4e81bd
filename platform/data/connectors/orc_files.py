"""ORC files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from pyarrow import orc

from ..connector import Cursor, RawBatch, Split
from ..file_cursor import FoundFile
from .file_streams import listed, plan_files, reading


@dataclass(frozen=True, slots=True)
class Orc:
    """ORC files; columns keep their types.

    Attributes:
        paths: One path or URL, or several; globs are expanded at every ingest.

    Example:
        >>> Orc(["a.orc", "b.orc"]).paths
        ('a.orc', 'b.orc')
    """

    paths: str | Sequence[str]

    typed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", listed(self.paths))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """New files since `cursor`, one split per file."""
        return plan_files(self.paths, cursor, ratio=4)

    def read(self, split: Split) -> Iterator[RawBatch]:
        """A batch per stripe."""
        file = FoundFile(str(split.address["path"]), 0, 0)
        with reading(split.name, "ORC"), file.open() as handle:
            source = orc.ORCFile(handle)
            for number in range(source.nstripes):
                yield RawBatch(pa.Table.from_batches([source.read_stripe(number)]))
            if source.nstripes == 0:
                yield RawBatch(source.schema.empty_table())
