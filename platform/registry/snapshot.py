"""All records of a registry as lines of JSON, and back: the same on SQLite and PostgreSQL, and from one to the other.

A snapshot is read in one transaction, so it is consistent whoever writes meanwhile. It names the schema's revision;
an older one is loaded into a schema of that revision, which is then brought to head.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, BinaryIO

from sqlalchemy import Connection, Executable, Table, TableClause, column, inspect, select, table, text
from sqlalchemy.dialects import postgresql, sqlite

from ..core import Conflict, DataError, Workspace
from .engine import raw_engine, reading, translated
from .migrate import migrate_schema, schema_version
from .schema import MAPPERS
from .tracking.experiments import DEFAULT_EXPERIMENT

_ROWS = 500
_AUDIT = "audit_entry"


def dump_records(ws: Workspace, out: BinaryIO) -> int:
    """Write every record to a stream, one JSON line each after a line that names the revision; returns how many.

    Raises:
        StorageError: The registry cannot be read.

    Example:
        >>> import io, tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> dump_records(ws, io.BytesIO())  # the default experiment, which every registry has
        1
    """
    count = 0
    with reading(ws) as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        out.write(_line({"revision": schema_version(ws)}))
        for found in MAPPERS.metadata.sorted_tables:
            names = [one.name for one in found.columns]
            for row in connection.execute(select(found).order_by(*found.primary_key)).yield_per(_ROWS):
                out.write(_line([found.name, dict(zip(names, map(_plain, row), strict=True))]))
                count += 1
    return count


def load_records(ws: Workspace, source: BinaryIO, *, replace: bool = False) -> int:
    """Read records that `dump_records` wrote into a registry, in one transaction; returns how many.

    Args:
        ws: The workspace.
        source: The stream.
        replace: Whether records that are there already give way; otherwise they are an error. The audit log only
            grows: its entries stay, and those that it lacks are added.

    Raises:
        Conflict: The registry has records and `replace` is false.
        DataError: The stream is no snapshot.
        ConfigError: It was made by a newer raylake.
        StorageError: The registry cannot be written.

    Example:
        >>> import io, tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> stream = io.BytesIO()
        >>> _ = dump_records(ws, stream)
        >>> _ = stream.seek(0)
        >>> load_records(ws, stream)
        1
    """
    try:
        revision = str(json.loads(source.readline())["revision"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("this is no snapshot of a registry: its first line names no revision") from error
    here = schema_version(ws)
    if here and not replace and _has_records(ws):
        raise Conflict("the registry has records already: restore into a new one, or replace them (update)")
    if here and here != revision:
        migrate_schema(ws, "base")
    migrate_schema(ws, revision)
    with translated(ws.registry_url):
        engine = raw_engine(ws.registry_url, os.getpid()).execution_options(raylake_write=True)
        with engine.begin() as connection:
            _clear(connection)
            count = _insert(connection, source)
            _advance_sequences(connection)
    migrate_schema(ws)
    return count


def _has_records(ws: Workspace) -> bool:
    """Whether there is more than what migrations themselves insert: the default experiment."""
    with reading(ws) as session:
        connection = session.connection()
        made = _tables()["experiment"]
        if connection.execute(select(made).where(made.c.id != DEFAULT_EXPERIMENT).limit(1)).first():
            return True
        others = (found for found in _tables().values() if found is not made)
        return any(connection.execute(select(found).limit(1)).first() for found in others)


def _clear(connection: Connection) -> None:
    """Remove every record but those of the audit log, which the database keeps from being removed."""
    there = set(inspect(connection).get_table_names())
    for found in reversed(MAPPERS.metadata.sorted_tables):
        if found.name in there and found.name != _AUDIT:
            connection.execute(found.delete())


def _tables() -> dict[str, Table]:
    return {found.name: found for found in MAPPERS.metadata.sorted_tables}


def _insert(connection: Connection, source: Iterable[bytes]) -> int:
    known, count = _tables(), 0
    for name, records in groupby(_records(source), key=lambda record: record[0]):
        if name not in known:
            raise DataError(f"the snapshot has records of {name!r}, which this raylake does not know: use a newer one")
        while rows := [row for _, row in islice(records, _ROWS)]:
            # Only the columns of the snapshot's own revision, with today's types.
            shape = table(name, *(column(one, known[name].columns[one].type) for one in rows[0]))
            connection.execute(_missing(connection, shape) if name == _AUDIT else shape.insert(), rows)
            count += len(rows)
    return count


def _missing(connection: Connection, shape: TableClause) -> Executable:
    """An insertion that leaves rows alone which are there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement: Executable = dialect.insert(shape).on_conflict_do_nothing()
    return statement


def _records(source: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in source:
        name, row = json.loads(line)
        yield name, {key: _value(cell) for key, cell in row.items()}


def _advance_sequences(connection: Connection) -> None:
    """PostgreSQL counts ids apart from the rows: go on after the greatest."""
    if connection.dialect.name != "postgresql":
        return
    for found in MAPPERS.metadata.sorted_tables:
        key = found.autoincrement_column
        if key is None:
            continue
        name = connection.scalar(text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": found.name, "c": key.name})
        most = connection.scalar(select(key).order_by(key.desc()).limit(1))
        if name and most:  # the default experiment is number 0, where no sequence begins
            connection.execute(text("SELECT setval(:name, :most)"), {"name": name, "most": most})


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return {"$time": (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).isoformat()}
    if isinstance(cell, bytes):
        return {"$bytes": base64.b64encode(cell).decode()}
    return {"$json": cell} if isinstance(cell, dict | list) else cell


def _value(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return cell
    ((kind, value),) = cell.items()
    if kind == "$time":
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if kind == "$bytes" else value
