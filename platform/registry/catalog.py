"""Tables and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from ..core import InvalidName, NotFound, Ref, Workspace
from .columns import plain
from .engine import now, reading, writing
from .records import TableVersion
from .rows import LARGEST, insert_new, listed
from .schema import TableVersionRow


def record_table(
    ws: Workspace,
    ref: Ref | str,
    version: int,
    *,
    rows: int | None,
    schema: Mapping[str, str],
    operation: str,
    metrics: Mapping[str, Any] | None = None,
    source: str = "",
) -> TableVersion:
    """Record a version of a Delta table; recording it again returns what was recorded first.

    Args:
        ws: The workspace.
        ref: The table; a version in it is ignored.
        version: The Delta version.
        rows: Number of rows in this version, or ``None``.
        schema: Column name to type name, in column order.
        operation: ``ingest``, ``write``, ...
        metrics: Figures of the write.
        source: Name of the Source that fed it.

    Raises:
        InvalidName: The name or the version is not valid.
        DataError: A metric has no JSON form.
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> str(record_table(ws, "flights", 0, rows=10, schema={"id": "int64"}, operation="ingest"))
        'flights@0'
    """
    pinned = _reference(ref).at(version)
    if version > LARGEST:
        raise InvalidName(f"version {version} of {pinned.qualified!r} is not valid: a Delta version has 64 bits")
    values = {
        "name": pinned.qualified,
        "version": version,
        "rows": rows,
        "columns": {str(name): str(kind) for name, kind in schema.items()},
        "operation": operation,
        "metrics": plain(metrics or {}, "metrics"),
        "source": source,
        "created_at": now(),
    }
    with writing(ws) as session:
        insert_new(session, TableVersionRow, [values])
        return _record(session.get_one(TableVersionRow, (pinned.qualified, version)))


def table_version(ws: Workspace, ref: Ref | str) -> TableVersion:
    """The version that `ref` names; the newest when it pins none.

    Raises:
        NotFound: The table or version is not recorded; the message lists those that are.
        InvalidName: `ref` breaks the naming rule.

    Example:
        >>> import tempfile
        >>> table_version(Workspace.open(tempfile.mkdtemp()), "flights@3")
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: table 'flights' is not recorded; recorded tables: none
    """
    wanted = _reference(ref)
    query = select(TableVersionRow).where(TableVersionRow.name == wanted.qualified)
    if wanted.version is not None:
        query = query.where(TableVersionRow.version == min(wanted.version, LARGEST))
    with reading(ws) as session:
        row = session.exec(query.order_by(col(TableVersionRow.version).desc()).limit(1)).first()
        if row is None or (wanted.version is not None and wanted.version != row.version):
            raise _missing(session, wanted)
        return _record(row)


def table_versions(ws: Workspace, ref: Ref | str) -> list[TableVersion]:
    """Every recorded version of a table, oldest first; empty for an unknown table.

    Example:
        >>> import tempfile
        >>> table_versions(Workspace.open(tempfile.mkdtemp()), "flights")
        []
    """
    query = select(TableVersionRow).where(TableVersionRow.name == _reference(ref).qualified)
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query.order_by(col(TableVersionRow.version)))]


def tables(ws: Workspace) -> list[TableVersion]:
    """The newest version of every table, sorted by qualified name.

    Example:
        >>> import tempfile
        >>> tables(Workspace.open(tempfile.mkdtemp()))
        []
    """
    newest = (
        select(TableVersionRow.name, func.max(TableVersionRow.version).label("version"))
        .group_by(TableVersionRow.name)
        .subquery()
    )
    query = (
        select(TableVersionRow)
        .join(newest, (newest.c.name == TableVersionRow.name) & (newest.c.version == TableVersionRow.version))
        .order_by(col(TableVersionRow.name))
    )
    with reading(ws) as session:
        return [_record(row) for row in session.exec(query)]


def _reference(ref: Ref | str) -> Ref:
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    if parsed.alias is not None:
        raise InvalidName(f"table reference {str(ref)!r} names an alias: tables have versions only, such as flights@3")
    return parsed


def _missing(session: Session, wanted: Ref) -> NotFound:
    name = str(Ref(wanted.name, namespace=wanted.namespace))
    versions = session.exec(
        select(TableVersionRow.version)
        .where(TableVersionRow.name == wanted.qualified)
        .order_by(col(TableVersionRow.version).desc())
        .limit(10)
    ).all()
    if versions:
        return NotFound(
            f"version {wanted.version} of table {name!r} is not recorded; "
            f"newest recorded versions: {', '.join(str(version) for version in versions)}"
        )
    names = session.exec(select(TableVersionRow.name).distinct()).all()
    return NotFound(f"table {name!r} is not recorded; recorded tables: {listed(Ref.parse(n) for n in names)}")


def _record(row: TableVersionRow) -> TableVersion:
    return TableVersion(
        name=row.name,
        version=row.version,
        rows=row.rows,
        schema=row.columns,
        operation=row.operation,
        metrics=row.metrics,
        source=row.source,
        created_at=row.created_at,
    )
