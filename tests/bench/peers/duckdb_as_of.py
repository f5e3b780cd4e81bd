"""DuckDB's ASOF JOIN on tables held in memory. Arguments: workload, labels file, values file."""

from __future__ import annotations

import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from figures import emit, timed

QUERY = 'select l.*, v.value from labels l asof left join "values" v on l.key = v.key and l.at >= v.at'


def main(workload: str, labels_file: str, values_file: str) -> None:
    """Time the join, tables to table."""
    labels, values = pq.read_table(labels_file), pq.read_table(values_file)

    def join() -> pa.Table:
        with duckdb.connect() as connection:
            connection.register("labels", labels)
            connection.register("values", values)
            return connection.execute(QUERY).to_arrow_table()

    emit([timed(workload, "DuckDB ASOF JOIN", join)])


main(*sys.argv[1:])
