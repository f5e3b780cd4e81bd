"""Connectors by name: those of raylake, and those that other packages add.

A package adds one by an entry point, and its connector is a frozen dataclass of JSON-able fields::

    [project.entry-points."raylake.connectors"]
    ftp = "acme_lake:Ftp"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any

from ...core import ConfigError
from ..connector import Connector
from ..csv_files import Csv
from ..parquet_files import Parquet
from . import http_auth, http_paging
from .avro_files import Avro
from .binary_files import Files
from .delta_feed import DeltaFeed
from .http_api import Http
from .iceberg_feed import IcebergFeed
from .json_files import Json
from .kafka import Kafka
from .media_files import Audio, Images
from .nats_stream import NatsStream
from .orc_files import Orc
from .redis_stream import RedisStream
from .sql_database import Sql
from .text_files import Text

GROUP = "raylake.connectors"
_BUILT_IN: Mapping[str, type] = {
    "audio": Audio,
    "avro": Avro,
    "csv": Csv,
    "delta": DeltaFeed,
    "files": Files,
    "http": Http,
    "iceberg": IcebergFeed,
    "images": Images,
    "json": Json,
    "kafka": Kafka,
    "nats": NatsStream,
    "orc": Orc,
    "parquet": Parquet,
    "redis": RedisStream,
    "sql": Sql,
    "text": Text,
}
# Values inside a connector that are of one of several kinds themselves.
_PARTS: Mapping[str, type] = {
    "api-key": http_auth.ApiKey,
    "basic": http_auth.Basic,
    "bearer": http_auth.Bearer,
    "client-credentials": http_auth.ClientCredentials,
    "no-auth": http_auth.NoAuth,
    "link-header": http_paging.LinkHeader,
    "next-link": http_paging.NextLink,
    "offset": http_paging.Offset,
    "page-number": http_paging.PageNumber,
    "page-token": http_paging.PageToken,
    "single-page": http_paging.SinglePage,
}


class FieldError(ConfigError):
    """A definition with a wrong field.

    Attributes:
        path: Keys and indices that lead to the field.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path

    def below(self, *path: str | int) -> FieldError:
        """The same error, seen from further up."""
        return FieldError(str(self), (*path, *self.path))


def connector_kinds() -> dict[str, type]:
    """Kind to class: what ``kind:`` in a definition may be.

    Raises:
        ConfigError: A package's entry point cannot be loaded, or takes a name that exists.

    Example:
        >>> sorted(connector_kinds())[:5]
        ['audio', 'avro', 'csv', 'delta', 'files']
    """
    found = _built_in()
    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise ConfigError(f"package {_package(entry)} adds a connector {entry.name!r}, which exists: rename it")
        try:
            found[entry.name] = entry.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"connector {entry.name!r} of package {_package(entry)} cannot load: {error}") from error
    return found


def connector_to_plain(connector: Connector) -> dict[str, Any]:
    """A connector as JSON-able data: its kind, and the fields that differ from their default.

    Raises:
        ConfigError: It is of no known kind.

    Example:
        >>> connector_to_plain(Csv("raw/*.csv", delimiter=";"))
        {'kind': 'csv', 'paths': ['raw/*.csv'], 'delimiter': ';'}
    """
    kinds = _built_in()
    return _to_plain(connector, kinds if type(connector) in kinds.values() else connector_kinds())


def connector_from_plain(given: Mapping[str, Any]) -> Connector:
    """The connector that data such as ``{"kind": "csv", "paths": "raw/*.csv"}`` describe.

    Raises:
        ConfigError: The kind or a field is unknown, missing or wrong; the message names it.

    Example:
        >>> connector_from_plain({"kind": "csv", "paths": "raw/*.csv"})
        Csv(paths=('raw/*.csv',), delimiter=',', encoding='utf8', member=None)
    """
    kinds = _built_in()
    # Looking through the installed packages takes a while, so it is done only for what is not built in.
    known = isinstance(given, Mapping) and given.get("kind") in kinds
    made: Connector = _from_plain(given, kinds if known else connector_kinds(), "connector")
    return made


def _built_in() -> dict[str, type]:
    # Imported here: the push package itself stores definitions.
    from ..push.log_reader import PushLog

    return {**_BUILT_IN, "push": PushLog}


def _to_plain(value: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    names = [kind for kind, made in kinds.items() if type(value) is made]
    if not names:
        raise ConfigError(
            f"{type(value).__name__} is of no known kind, so it cannot be stored: register it as an entry point "
            f"{GROUP!r}; kinds are {', '.join(sorted(kinds))}"
        )
    found: dict[str, Any] = {"kind": names[0]}
    for entry in fields(value):
        held = getattr(value, entry.name)
        if entry.init and held != _default(entry):
            found[entry.name] = _plain(held)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _to_plain(value, _PARTS)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _from_plain(given: Any, kinds: Mapping[str, type], what: str) -> Any:
    if not isinstance(given, Mapping) or "kind" not in given:
        raise FieldError(f"{what} {given!r} has no kind: use {{kind: ..., ...}} with one of {', '.join(sorted(kinds))}")
    kind = given["kind"]
    if kind not in kinds:
        raise FieldError(f"{what} kind {kind!r} is unknown: use one of {', '.join(sorted(kinds))}", ("kind",))
    made = kinds[kind]
    known = {entry.name: entry for entry in fields(made) if entry.init}
    for name in given:
        if name != "kind" and name not in known:
            raise FieldError(f"{what} {kind!r} has no field {name!r}: use some of {', '.join(known)}", (name,))
    missing = [name for name, entry in known.items() if _default(entry) is MISSING and name not in given]
    if missing:
        raise FieldError(f"{what} {kind!r} needs {', '.join(missing)}")
    values = {name: _part(value, name) for name, value in given.items() if name != "kind"}
    try:
        return made(**values)
    except FieldError:
        raise
    except (ConfigError, TypeError, ValueError) as error:
        raise FieldError(f"{what} {kind!r}: {error}") from error


def _part(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and "kind" in value:
        try:
            return _from_plain(value, _PARTS, name)
        except FieldError as error:
            raise error.below(name) from error
    return value


def _default(entry: Field[Any]) -> Any:
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _package(entry: Any) -> str:
    return str(entry.dist.name if entry.dist is not None else entry.value)
