"""The row groups of a pinned table: which rows each holds of a part, and reading them without reading the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds

from ..core import Ref, Workspace
from ..data.delta_log import arrow_schema, require
from ..data.read import fragments
from ..data.storage_errors import storage_errors

Filter: TypeAlias = pc.Expression | None


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one Parquet row group.

    Attributes:
        file: Index of the file among the version's files.
        index: Index of the row group in the file.
        rows: How many of its rows are meant.
        kept: Where a recipe leaves rows out of training: a bit for each row that the filter means. Empty: all stay.
    """

    file: int
    index: int
    rows: int
    kept: bytes = b""

    def stay(self, meant: pa.Table) -> pa.Table:
        """Of the rows that the filter means, those that stay."""
        if not self.kept:
            return meant
        bits = np.unpackbits(np.frombuffer(self.kept, np.uint8), count=meant.num_rows)
        return meant.filter(pa.array(bits.astype(bool)))


class PinnedTable:
    """One version of a table, opened: schema and files. Reads nothing by itself."""

    def __init__(self, ws: Workspace, table: str) -> None:
        self.ref = Ref.parse(table)
        self._url = ws.table_url(self.ref)
        opened = require(ws, self.ref)
        self.schema: pa.Schema = arrow_schema(opened)
        # In the order of their paths: the log may list them in another order after a checkpoint.
        self.files: list[Any] = sorted(fragments(opened, self._url, None), key=lambda fragment: str(fragment.path))

    def read(self, group: Group, columns: Sequence[str], chosen: Filter) -> pa.Table:
        """The meant rows of a row group, in their order.

        Raises:
            StorageError: The file cannot be read.
        """
        with storage_errors(self._url):
            part = self.files[group.file].subset(row_group_ids=[group.index])
            dataset = pds.FileSystemDataset([part], self.schema, pds.ParquetFileFormat())
            return group.stay(dataset.to_table(columns=list(columns), filter=chosen, use_threads=False))


def count_groups(file: int, fragment: Any, schema: pa.Schema, chosen: Filter) -> list[Group]:
    """The row groups of a file that hold meant rows; statistics answer where they can."""
    found = []
    for index in range(fragment.metadata.num_row_groups):
        part = fragment.subset(row_group_ids=[index])
        whole = chosen is None
        rows = fragment.metadata.row_group(index).num_rows if whole else _count(part, schema, chosen)
        if rows:
            found.append(Group(file, index, rows))
    return found


def _count(part: Any, schema: pa.Schema, chosen: Filter) -> int:
    dataset = pds.FileSystemDataset([part], schema, pds.ParquetFileFormat())
    return int(dataset.count_rows(filter=chosen, use_threads=False))


def total(groups: Sequence[Group]) -> int:
    """Rows of all groups."""
    return sum(group.rows for group in groups)
