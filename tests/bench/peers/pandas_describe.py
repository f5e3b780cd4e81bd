"""pandas: read Parquet files and describe every column. Arguments: workload, folder of the files."""

from __future__ import annotations

import resource
import sys

import pandas as pd
from figures import Figure, emit, timed


def main(workload: str, folder: str) -> None:
    """Time reading and describing together; the peak memory of the process."""
    found = timed(workload, "pandas read_parquet and describe", lambda: pd.read_parquet(folder).describe(include="all"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    emit([found, Figure(f"{workload}, memory", "pandas read_parquet and describe", peak, "MiB", "lower")])


main(*sys.argv[1:])
