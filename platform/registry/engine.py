"""Connections: one engine per registry URL and process, sessions to read or write, errors translated once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from ..core import ConfigError, Conflict, DataError, StorageError, Workspace

BUSY_SECONDS = 30.0  # how long a writer waits for another one
_WRITE = "raylake_write"


def now() -> datetime:
    """The present moment, UTC."""
    return datetime.now(UTC)


@contextmanager
def reading(ws: Workspace) -> Iterator[Session]:
    """A session on a consistent snapshot; it is rolled back at the end."""
    with translated(ws.registry_url), Session(_ready(ws.registry_url, os.getpid())) as session:
        yield session


@contextmanager
def writing(ws: Workspace) -> Iterator[Session]:
    """A session in one transaction: committed at the end, rolled back by any error."""
    with translated(ws.registry_url), Session(_writer(ws.registry_url, os.getpid())) as session, session.begin():
        yield session


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """As `writing`, but a bare connection to the registry at `url`, for what passes the ORM by."""
    with translated(url), _writer(url, os.getpid()).begin() as connection:
        yield connection


@contextmanager
def translated(url: str) -> Iterator[None]:
    """The boundary at which SQLAlchemy's errors become raylake's. Passwords never enter a message."""
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict(
            f"the registry {shown(url)} refused a change that contradicts another one ({_reason(error)}): "
            "read the newest state and try again"
        ) from error
    except (exc.DataError, OverflowError) as error:
        raise DataError(f"the registry {shown(url)} cannot hold a value: {_reason(error)}") from error
    except (
        exc.OperationalError,
        exc.InterfaceError,
        exc.InternalError,
        exc.DatabaseError,
        exc.TimeoutError,
    ) as error:
        raise StorageError(
            f"the registry {shown(url)} cannot be used: {_reason(error)}. "
            "Check that it is reachable, writable and has free space"
        ) from error


def shown(url: str) -> str:
    """`url` without password and query, for people.

    Example:
        >>> shown("postgresql+psycopg://ann:secret@db/lake?password=secret")
        'postgresql+psycopg://ann:***@db/lake'
    """
    return _parsed(url).set(query={}).render_as_string(hide_password=True)


@lru_cache(maxsize=64)
def raw_engine(url: str, pid: int) -> Engine:
    """The engine of `url`, whatever its schema's version. `pid` keeps connections out of forked children.

    Raises:
        ConfigError: The URL is neither SQLite (a file) nor PostgreSQL, or its driver is not installed.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(
            f"registry URL {shown(url)} is not supported: use sqlite:///FILE or postgresql://user@host/db"
        )
    try:
        return create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except (ModuleNotFoundError, exc.NoSuchModuleError) as error:
        raise ConfigError(
            f"the registry {shown(url)} needs a driver that is not installed ({error}): "
            "use postgresql://user@host/db and pip install 'raylake[postgres]'"
        ) from error


@lru_cache(maxsize=64)
def _ready(url: str, pid: int) -> Engine:
    from . import migrate

    engine = raw_engine(url, pid)
    migrate.bring_to_head(engine)
    return engine


@lru_cache(maxsize=64)
def _writer(url: str, pid: int) -> Engine:
    return _ready(url, pid).execution_options(**{_WRITE: True})


def forget_ready() -> None:
    """Make the next use of any registry check its schema again."""
    _ready.cache_clear()
    _writer.cache_clear()


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except exc.ArgumentError:
        # The URL is not repeated and not chained: it may hold a password.
        raise ConfigError(
            "the registry URL cannot be parsed: use sqlite:///FILE or postgresql://user@host/db"
        ) from None


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("an in-memory registry cannot be shared by processes: use sqlite:///FILE")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"folder of the registry {url.database} cannot be created: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    # The driver's own transactions start late and skip DDL: `_begin_sqlite` starts them instead.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={int(BUSY_SECONDS * 1000)}", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: a snapshot that turns into a writer later fails instead of waiting.
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _reason(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    lines = str(origin).strip().splitlines()
    return lines[0] if lines else type(origin).__name__
