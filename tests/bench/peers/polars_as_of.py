"""polars' join_asof on tables held in memory, sorting included. Arguments: workload, labels file, values file."""

from __future__ import annotations

import sys

import polars as pl
import pyarrow.parquet as pq
from figures import emit, timed


def main(workload: str, labels_file: str, values_file: str) -> None:
    """Time the join, Arrow tables to frame."""
    labels, values = pq.read_table(labels_file), pq.read_table(values_file)

    def join() -> pl.DataFrame:
        left, right = pl.from_arrow(labels).sort("at"), pl.from_arrow(values).sort("at")
        return left.join_asof(right, on="at", by="key", strategy="backward", check_sortedness=False)

    emit([timed(workload, "polars join_asof (sorted first)", join)])


main(*sys.argv[1:])
