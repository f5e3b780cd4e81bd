"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from .backup import backup, prune_backups, restore_backup, verify_backup
from .backup_store import Backup, backups
from .connector import Connector, Cursor, RawBatch, Split
from .csv_files import Csv
from .delete import delete, replace
from .exchange import export, load
from .expectations import Expectation, at_least_rows, between, matches, not_null, one_of, unique
from .forget import Forgotten, ForgottenTable, forget
from .history import changes, restore, version_at
from .ingest import ingest, ingest_all
from .layout import Facts, compact, facts, z_order
from .merge import merge
from .parquet_files import Parquet
from .query import derive, sql
from .read import exists, read, sync_table, table, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
from .retention import CleanUp, Retention, clean_up, purge, retention_of, set_retention, vacuum
from .scd2 import scd2
from .source import Source
from .write import write

__all__ = [
    "Backup",
    "Cast",
    "CleanUp",
    "Connector",
    "Csv",
    "Cursor",
    "Expectation",
    "Facts",
    "FittedRecipe",
    "Forgotten",
    "ForgottenTable",
    "Impute",
    "OneHot",
    "Ordinal",
    "Parquet",
    "RawBatch",
    "Recipe",
    "Retention",
    "Scale",
    "Source",
    "Split",
    "Step",
    "at_least_rows",
    "backup",
    "backups",
    "between",
    "changes",
    "clean_up",
    "compact",
    "delete",
    "derive",
    "exists",
    "export",
    "facts",
    "forget",
    "ingest",
    "ingest_all",
    "load",
    "matches",
    "merge",
    "not_null",
    "one_of",
    "prune_backups",
    "purge",
    "read",
    "replace",
    "restore",
    "restore_backup",
    "retention_of",
    "scd2",
    "set_retention",
    "sql",
    "sync_table",
    "table",
    "unique",
    "vacuum",
    "verify_backup",
    "version_at",
    "versions",
    "write",
    "z_order",
]
