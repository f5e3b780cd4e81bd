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
from .expectations import Expectation, at_least_rows, between, matches, not_null, one_of, unique
from .ingest import ingest, ingest_all
from .parquet_files import Parquet
from .query import sql
from .read import exists, read, sync_table, table, vacuum, versions
from .recipe import Cast, FittedRecipe, Impute, OneHot, Ordinal, Recipe, Scale, Step
from .source import Source
from .write import write

__all__ = [
    "ApiKey",
    "Audio",
    "Avro",
    "Basic",
    "Bearer",
    "ClientCredentials",
    "DeltaFeed",
    "Files",
    "Http",
    "Images",
    "Json",
    "Kafka",
    "LinkHeader",
    "MarkedConnector",
    "NatsStream",
    "NextLink",
    "Offset",
    "Orc",
    "PageNumber",
    "PageToken",
    "RedisStream",
    "Sql",
    "StreamConnector",
    "Text",
    "convert",
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
    "exists",
    "ingest",
    "ingest_all",
    "matches",
    "not_null",
    "one_of",
    "read",
    "sql",
    "sync_table",
    "table",
    "unique",
    "vacuum",
    "versions",
    "write",
]
