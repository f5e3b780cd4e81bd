"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from .backup import backup, prune_backups, restore_backup, verify_backup
from .backup_store import Backup, backups
from .checks import QualityReport, RuleResult, check, quality_history
from .connector import Connector, Cursor, RawBatch, Split
from .csv_files import Csv
from .delete import delete, replace
from .exchange import export, load
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
from .forget import Forgotten, ForgottenTable, forget
from .history import changes, restore, version_at
from .ingest import ingest, ingest_all
from .layout import Facts, compact, facts, z_order
from .merge import merge
from .parquet_files import Parquet
from .profile import ColumnProfile, Profile, profile, profiles
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
    "ColumnProfile",
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
    "Profile",
    "QualityReport",
    "RawBatch",
    "Recipe",
    "RuleResult",
    "Retention",
    "Scale",
    "Source",
    "Split",
    "Step",
    "at_least_rows",
    "backup",
    "backups",
    "between",
    "check",
    "exists",
    "fresh",
    "holds",
    "changes",
    "clean_up",
    "compact",
    "delete",
    "derive",
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
    "profile",
    "profiles",
    "quality_history",
    "read",
    "refers_to",
    "rows_between",
    "satisfies",
    "similar",
    "prune_backups",
    "purge",
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
