"""The schema's version: brought to head on first use, up and down on request, one process at a time."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from ..core import ConfigError, StorageError, Workspace
from .engine import forget_ready, raw_engine, shown, translated

HEAD = "0016"  # the newest revision in `migrations/versions`; a test compares them
VERSION_TABLE = "raylake_version"
_FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x7261796C616B65  # "raylake"
# Alembic's `op` and `context` belong to the process, so one thread at a time may migrate.
_ONE_THREAD = threading.Lock()


def schema_version(ws: Workspace) -> str:
    """The schema's revision in the registry as it is now; ``""`` when it is new.

    Raises:
        StorageError: The registry cannot be reached.

    Example:
        >>> import tempfile
        >>> schema_version(Workspace.open(tempfile.mkdtemp()))
        ''
    """
    with translated(ws.registry_url), raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        return _revision(connection)


def migrate_schema(ws: Workspace, revision: str = "head") -> str:
    """Move the schema up or down to `revision`, in one transaction, and return the revision reached.

    Every function of the registry moves it to ``head`` on first use; this one is for going back.

    Args:
        ws: The workspace.
        revision: ``head``, ``base`` (drops every table with its records) or a revision's number.

    Raises:
        ConfigError: The revision is unknown.
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> migrate_schema(ws) == HEAD
        True
        >>> migrate_schema(ws, "base")
        ''
    """
    with translated(ws.registry_url):
        engine = raw_engine(ws.registry_url, os.getpid())
        with _locked(engine) as connection:
            _move(connection, revision)
            reached = _revision(connection)
    forget_ready()
    return reached


def bring_to_head(engine: Engine) -> None:
    """Upgrade the schema if it is older than this code; costs one query when it is not.

    Raises:
        ConfigError: The schema is newer than this code.
    """
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with _locked(engine) as connection:
        if _revision(connection) != HEAD:  # another process may have done it while we waited
            _move(connection, "head")


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or "")


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other thread or process migrates beside."""
    with _ONE_THREAD:
        if engine.dialect.name == "sqlite":
            with _file_lock(Path(f"{engine.url.database}.lock")), _rebuilding(engine) as connection:
                yield connection
        else:
            with engine.begin() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                yield connection


@contextmanager
def _rebuilding(engine: Engine) -> Iterator[Connection]:
    """A transaction on SQLite in which tables may be rebuilt: references are checked at its end only.

    With foreign keys on, dropping the old copy of a table would delete what refers to it
    (https://sqlite.org/lang_altertable.html#otheralter).
    """
    with engine.execution_options(raylake_write=True).connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA journal_mode=WAL")  # outside a transaction, and once: the file remembers it
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise StorageError(f"the registry's table {broken[0]} refers to a row of {broken[2]} that is gone")
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"lock file {path} cannot be written: {error.strerror}. Free or unlock the disk") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _move(connection: Connection, revision: str) -> None:
    # Imported here: most processes find the schema at head and never need Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        if revision == "base" or (revision != "head" and revision < _revision(connection)):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigError(
            f"the registry {shown(str(connection.engine.url))} cannot be moved to {revision!r}: {error}. "
            f"This raylake knows revisions up to {HEAD}; a newer registry needs a newer raylake"
        ) from error
