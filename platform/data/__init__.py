"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from .connector import Connector, Cursor, RawBatch, Split
from .csv_files import Csv
from .delete import delete, replace
from .expectations import Expectation, at_least_rows, between, matches, not_null, one_of, unique
from .ingest import ingest, ingest_all
from .merge import merge
from .parquet_files import Parquet
from .query import sql
from .read import exists, read, sync_table, table, vacuum, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
from .scd2 import scd2
from .source import Source
from .write import write

__all__ = [
    "Cast",
    "Connector",
    "Csv",
    "Cursor",
    "Expectation",
    "FittedRecipe",
    "Impute",
    "OneHot",
    "Ordinal",
    "Parquet",
    "RawBatch",
    "Recipe",
    "Scale",
    "Source",
    "Split",
    "Step",
    "at_least_rows",
    "between",
    "delete",
    "exists",
    "ingest",
    "ingest_all",
    "matches",
    "merge",
    "not_null",
    "one_of",
    "read",
    "replace",
    "scd2",
    "sql",
    "sync_table",
    "table",
    "unique",
    "vacuum",
    "versions",
    "write",
]
