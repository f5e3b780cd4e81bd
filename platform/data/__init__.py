"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from .checks import QualityReport, RuleResult, check, quality_history
from .connector import Connector, Cursor, RawBatch, Split
from .csv_files import Csv
from .expectations import (
    Expectation,
    at_least_rows,
    between,
    fresh,
    holds,
    matches,
    not_null,
    one_of,
    refers_to,
    rows_between,
    satisfies,
    similar,
    unique,
)
from .ingest import ingest, ingest_all
from .parquet_files import Parquet
from .profile import ColumnProfile, Profile, profile, profiles
from .query import sql
from .read import exists, read, sync_table, table, vacuum, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
from .source import Source
from .write import write

__all__ = [
    "Cast",
    "ColumnProfile",
    "Connector",
    "Csv",
    "Cursor",
    "Expectation",
    "FittedRecipe",
    "Impute",
    "OneHot",
    "Ordinal",
    "Parquet",
    "Profile",
    "QualityReport",
    "RawBatch",
    "Recipe",
    "RuleResult",
    "Scale",
    "Source",
    "Split",
    "Step",
    "at_least_rows",
    "between",
    "check",
    "exists",
    "fresh",
    "holds",
    "ingest",
    "ingest_all",
    "matches",
    "not_null",
    "one_of",
    "profile",
    "profiles",
    "quality_history",
    "read",
    "refers_to",
    "rows_between",
    "satisfies",
    "similar",
    "sql",
    "sync_table",
    "table",
    "unique",
    "vacuum",
    "versions",
    "write",
]
