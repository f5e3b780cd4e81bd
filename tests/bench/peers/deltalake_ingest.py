"""deltalake alone, in one process: CSV files streamed into a new table. Arguments: workload, folder, where to write."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from figures import emit, rate


def main(workload: str, raw: str, target: str) -> None:
    """Time reading and writing; nothing is checked."""
    numbers = itertools.count()

    def write() -> int:
        place = str(Path(target) / str(next(numbers)))
        rows = ds.dataset(raw, format="csv").scanner().to_reader()
        write_deltalake(place, rows)
        return DeltaTable(place).count()

    emit([rate(workload, "deltalake, one process, nothing checked", write, unit="rows/s")])


main(*sys.argv[1:])
