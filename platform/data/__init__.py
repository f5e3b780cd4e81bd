"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from . import convert
from .backup import backup, prune_backups, restore_backup, verify_backup
from .backup_store import Backup, backups
from .checks import QualityReport, RuleResult, check, quality_history
from .connector import Connector, Cursor, MarkedConnector, RawBatch, Split, StreamConnector
from .connectors import (
    ApiKey,
    Audio,
    Avro,
    Basic,
    Bearer,
    ClientCredentials,
    DeltaFeed,
    Files,
    Http,
    Images,
    Json,
    Kafka,
    LinkHeader,
    NatsStream,
    NextLink,
    Offset,
    Orc,
    PageNumber,
    PageToken,
    RedisStream,
    Sql,
    Text,
)
from .csv_files import Csv
from .definitions import load_sources, source_from_plain, source_to_plain
from .delete import delete, replace
from .discovered import Discovered, discover
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
from .push import Inbox, PushLog, push_app, push_source
from .query import derive, sql
from .read import exists, read, sync_table, table, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
from .retention import CleanUp, Retention, clean_up, purge, retention_of, set_retention, vacuum
from .scd2 import scd2
from .source import Source
from .streaming import (
    configured_source,
    configured_sources,
    pause_source,
    remove_source,
    resume_source,
    run_once,
    save_source,
    source_status,
    supervise,
)
from .write import write

__all__ = [
    "Backup",
    "Cast",
    "ColumnProfile",
    "CleanUp",
    "ApiKey",
    "Audio",
    "Avro",
    "Basic",
    "Bearer",
    "ClientCredentials",
    "Connector",
    "Csv",
    "Cursor",
    "DeltaFeed",
    "Discovered",
    "Expectation",
    "Facts",
    "FittedRecipe",
    "Forgotten",
    "ForgottenTable",
    "Files",
    "Http",
    "Images",
    "Impute",
    "Inbox",
    "Json",
    "Kafka",
    "LinkHeader",
    "MarkedConnector",
    "NatsStream",
    "NextLink",
    "Offset",
    "OneHot",
    "Orc",
    "Ordinal",
    "PageNumber",
    "PageToken",
    "Parquet",
    "Profile",
    "QualityReport",
    "RawBatch",
    "Recipe",
    "RuleResult",
    "Retention",
    "PushLog",
    "RedisStream",
    "Scale",
    "Source",
    "Split",
    "Sql",
    "Step",
    "StreamConnector",
    "Text",
    "at_least_rows",
    "backup",
    "backups",
    "between",
    "check",
    "configured_source",
    "configured_sources",
    "convert",
    "discover",
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
    "load_sources",
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
    "pause_source",
    "push_app",
    "push_source",
    "remove_source",
    "resume_source",
    "run_once",
    "save_source",
    "source_from_plain",
    "source_status",
    "source_to_plain",
    "sql",
    "supervise",
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
