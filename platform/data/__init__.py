"""The data plane: sources into governed Delta tables exactly once, and everything that reads them.

Small inputs and Arrow tables never start Ray; Datasets and large sources are read and written by Ray tasks, with one
commit by the calling process.
"""

from . import convert
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
from .discovered import Discovered, discover
from .expectations import Expectation, at_least_rows, between, matches, not_null, one_of, unique
from .ingest import ingest, ingest_all
from .parquet_files import Parquet
from .push import Inbox, PushLog, push_app, push_source
from .query import sql
from .read import exists, read, sync_table, table, vacuum, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
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
    "ApiKey",
    "Audio",
    "Avro",
    "Basic",
    "Bearer",
    "Cast",
    "ClientCredentials",
    "Connector",
    "Csv",
    "Cursor",
    "DeltaFeed",
    "Discovered",
    "Expectation",
    "Files",
    "FittedRecipe",
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
    "PushLog",
    "RawBatch",
    "Recipe",
    "RedisStream",
    "Scale",
    "Source",
    "Split",
    "Sql",
    "Step",
    "StreamConnector",
    "Text",
    "at_least_rows",
    "between",
    "configured_source",
    "configured_sources",
    "convert",
    "discover",
    "exists",
    "ingest",
    "ingest_all",
    "load_sources",
    "matches",
    "not_null",
    "one_of",
    "pause_source",
    "push_app",
    "push_source",
    "read",
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
    "versions",
    "write",
]
