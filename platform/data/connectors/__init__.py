"""Connectors: each a small frozen value behind the `raylake.data.Connector` protocol.

Files (CSV and Parquet live beside this package), SQL databases, HTTP APIs, event streams, other Delta tables. A
package of somebody else adds one through the entry point group ``raylake.connectors``; see `kinds`.
"""

from .avro_files import Avro
from .binary_files import Files
from .delta_feed import DeltaFeed
from .http_api import Http
from .http_auth import ApiKey, Basic, Bearer, ClientCredentials
from .http_paging import LinkHeader, NextLink, Offset, PageNumber, PageToken
from .iceberg_feed import IcebergFeed
from .json_files import Json
from .kafka import Kafka
from .media_files import Audio, Images
from .nats_stream import NatsStream
from .orc_files import Orc
from .redis_stream import RedisStream
from .sql_database import Sql
from .text_files import Text

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
    "IcebergFeed",
    "Images",
    "Json",
    "Kafka",
    "LinkHeader",
    "NatsStream",
    "NextLink",
    "Offset",
    "Orc",
    "PageNumber",
    "PageToken",
    "RedisStream",
    "Sql",
    "Text",
]
