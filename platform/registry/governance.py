"""The catalogue: what people say of tables and columns, search over it, and how schemas changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from ..core import DataError, NotFound, Ref, Workspace
from .catalog import table_version, table_versions, tables
from .engine import now, reading, writing
from .records import TableVersion
from .schema import ColumnInfoRow, TableInfoRow

SENSITIVITIES = ("", "public", "internal", "personal", "secret")


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column of the newest version, with what people say of it.

    Attributes:
        name: The column.
        type: Its type.
        description: What it means.
        unit: Unit of its values, such as ``minutes``.
        sensitivity: ``public``, ``internal``, ``personal``, ``secret``, or ``""`` when nobody said.
        tags: Free words.
    """

    name: str
    type: str
    description: str = ""
    unit: str = ""
    sensitivity: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table's entry in the catalogue.

    Attributes:
        name: Qualified name, ``main.flights``.
        version: Newest version.
        rows: Its rows, or ``None``.
        description: What it holds.
        owner: Who answers for it.
        tags: Free words.
        columns: Column name to what is known of it, in column order.
        source: Name of the source that feeds it, or ``""``.
        written_at: When the newest version was recorded.
        described_at: When the description last changed; ``None`` while nobody described it.
    """

    name: str
    version: int
    rows: int | None
    description: str
    owner: str
    tags: tuple[str, ...]
    columns: dict[str, ColumnInfo]
    source: str
    written_at: datetime
    described_at: datetime | None


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """How the schema of a version differs from that of the recorded version before it.

    Attributes:
        version: The version that brought the change.
        created_at: When it was recorded.
        added: New columns with their types.
        removed: Columns that are gone, with their types.
        changed: Column to old and new type.
    """

    version: int
    created_at: datetime
    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]


def describe_table(
    ws: Workspace,
    ref: Ref | str,
    *,
    description: str | None = None,
    owner: str | None = None,
    tags: Iterable[str] | None = None,
) -> TableInfo:
    """Say what a table holds; what is not given stays as it is.

    Args:
        ws: The workspace.
        ref: The table; a version in it is ignored.
        description: What it holds.
        owner: Who answers for it.
        tags: Free words, in place of those before.

    Raises:
        NotFound: The table is not recorded.

    Example:
        >>> import tempfile
        >>> from raylake.registry import record_table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = record_table(ws, "flights", 1, rows=3, schema={"distance": "int64"}, operation="ingest")
        >>> describe_table(ws, "flights", owner="ann", tags=["aviation"]).tags
        ('aviation',)
    """
    newest = _newest(ws, ref)
    given = {"description": description, "owner": owner, "tags": None if tags is None else _words(tags)}
    empty = TableInfoRow(name=newest.name, description="", owner="", tags=[], updated_at=now())
    with writing(ws) as session:
        _update(session, session.get(TableInfoRow, newest.name) or empty, given)
        return _info(session, newest)


def describe_column(
    ws: Workspace,
    ref: Ref | str,
    column: str,
    *,
    description: str | None = None,
    unit: str | None = None,
    sensitivity: str | None = None,
    tags: Iterable[str] | None = None,
) -> TableInfo:
    """Say what a column means; what is not given stays as it is.

    Args:
        ws: The workspace.
        ref: The table; a version in it is ignored.
        column: A column of its newest version.
        description: What it means.
        unit: Unit of its values.
        sensitivity: ``public``, ``internal``, ``personal``, ``secret`` or ``""``.
        tags: Free words, in place of those before.

    Raises:
        NotFound: The table is not recorded, or has no such column; the message lists those it has.
        DataError: The sensitivity is unknown.

    Example:
        >>> import tempfile
        >>> from raylake.registry import record_table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = record_table(ws, "flights", 1, rows=3, schema={"distance": "int64"}, operation="ingest")
        >>> describe_column(ws, "flights", "distance", unit="miles").columns["distance"].unit
        'miles'
    """
    if sensitivity is not None and sensitivity not in SENSITIVITIES:
        raise DataError(f"sensitivity {sensitivity!r} is not valid: use one of {', '.join(SENSITIVITIES[1:])}")
    newest = _newest(ws, ref)
    if column not in newest.schema:
        raise NotFound(f"table {newest.ref} has no column {column!r}; it has {', '.join(newest.schema)}")
    given = {"description": description, "unit": unit, "sensitivity": sensitivity}
    given["tags"] = None if tags is None else _words(tags)  # type: ignore[assignment]
    empty = ColumnInfoRow(
        table=newest.name, column=column, description="", unit="", sensitivity="", tags=[], updated_at=now()
    )
    with writing(ws) as session:
        _update(session, session.get(ColumnInfoRow, (newest.name, column)) or empty, given)
        return _info(session, newest)


def table_info(ws: Workspace, ref: Ref | str) -> TableInfo:
    """A table's entry in the catalogue.

    Raises:
        NotFound: The table is not recorded.

    Example:
        >>> import tempfile
        >>> from raylake.registry import record_table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = record_table(ws, "flights", 1, rows=3, schema={"distance": "int64"}, operation="ingest")
        >>> table_info(ws, "flights").columns["distance"].type
        'int64'
    """
    newest = _newest(ws, ref)
    with reading(ws) as session:
        return _info(session, newest)


def search_tables(
    ws: Workspace,
    words: str = "",
    *,
    tag: str | None = None,
    owner: str | None = None,
    sensitivity: str | None = None,
    limit: int | None = 100,
) -> list[TableInfo]:
    """Tables in which every word stands: in a name, description or tag, of the table or of a column.

    Args:
        ws: The workspace.
        words: Words or parts of words, in any case; empty finds all.
        tag: Only tables that have it, or a column that has it.
        owner: Only this owner's.
        sensitivity: Only tables with a column of this sensitivity.
        limit: At most so many; ``None`` for all.

    Returns:
        Best matches first: words in the table's name, then in a column's, then elsewhere; then by name.

    Example:
        >>> import tempfile
        >>> from raylake.registry import record_table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = record_table(ws, "flights", 1, rows=3, schema={"distance": "int64"}, operation="ingest")
        >>> [found.name for found in search_tables(ws, "dist")], search_tables(ws, "speed")
        (['main.flights'], [])
    """
    asked = words.lower().split()
    newest = tables(ws)
    with reading(ws) as session:
        infos = {row.name: row for row in session.exec(select(TableInfoRow))}
        columns: dict[str, list[ColumnInfoRow]] = {}
        for row in session.exec(select(ColumnInfoRow)):
            columns.setdefault(row.table, []).append(row)
    entries = [_joined(version, infos.get(version.name), columns.get(version.name, [])) for version in newest]
    chosen = [
        (rank, entry.name, entry)
        for entry in entries
        if (rank := _rank(entry, asked)) is not None
        and (tag is None or tag in entry.tags or any(tag in column.tags for column in entry.columns.values()))
        and (owner is None or entry.owner == owner)
        and (sensitivity is None or any(column.sensitivity == sensitivity for column in entry.columns.values()))
    ]
    return [entry for _, _, entry in sorted(chosen, key=lambda found: found[:2])][:limit]


def schema_history(ws: Workspace, ref: Ref | str) -> list[SchemaChange]:
    """Every change of a table's columns or types, oldest first; the first entry adds them all.

    Example:
        >>> import tempfile
        >>> from raylake.registry import record_table
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for version, schema in enumerate([{"n": "int64"}, {"n": "int64"}, {"n": "float64", "s": "string"}]):
        ...     recorded = record_table(ws, "t", version, rows=0, schema=schema, operation="write")
        >>> [(change.version, change.added, change.changed) for change in schema_history(ws, "t")][1]
        (2, {'s': 'string'}, {'n': ('int64', 'float64')})
    """
    found: list[SchemaChange] = []
    before: Mapping[str, str] = {}
    for version in table_versions(ws, ref):
        after = version.schema
        if dict(before) != after:
            found.append(
                SchemaChange(
                    version=version.version,
                    created_at=version.created_at,
                    added={name: kind for name, kind in after.items() if name not in before},
                    removed={name: kind for name, kind in before.items() if name not in after},
                    changed={n: (before[n], k) for n, k in after.items() if n in before and before[n] != k},
                )
            )
        before = after
    return found


def _newest(ws: Workspace, ref: Ref | str) -> TableVersion:
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    return table_version(ws, Ref(parsed.name, namespace=parsed.namespace))


def _words(tags: Iterable[str]) -> list[str]:
    return sorted({str(tag).strip() for tag in tags} - {""})


def _update(session: Session, row: TableInfoRow | ColumnInfoRow, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            setattr(row, name, value)
    row.updated_at = now()
    session.add(row)
    session.flush()


def _info(session: Session, newest: TableVersion) -> TableInfo:
    said = session.get(TableInfoRow, newest.name)
    query = select(ColumnInfoRow).where(col(ColumnInfoRow.table) == newest.name)
    return _joined(newest, said, session.exec(query).all())


def _joined(newest: TableVersion, said: TableInfoRow | None, columns: Iterable[ColumnInfoRow]) -> TableInfo:
    known = {row.column: row for row in columns}
    return TableInfo(
        name=newest.name,
        version=newest.version,
        rows=newest.rows,
        description=said.description if said else "",
        owner=said.owner if said else "",
        tags=tuple(said.tags) if said else (),
        columns={name: _column(name, kind, known.get(name)) for name, kind in newest.schema.items()},
        source=newest.source,
        written_at=newest.created_at,
        described_at=said.updated_at if said else None,
    )


def _column(name: str, kind: str, said: ColumnInfoRow | None) -> ColumnInfo:
    if said is None:
        return ColumnInfo(name, kind)
    return ColumnInfo(name, kind, said.description, said.unit, said.sensitivity, tuple(said.tags))


def _rank(entry: TableInfo, asked: list[str]) -> int | None:
    """0 when every word stands in the table's name, higher for farther places; ``None`` when one stands nowhere."""
    columns = entry.columns.values()
    places = (
        entry.name.lower(),
        " ".join(entry.columns).lower(),
        " ".join([entry.description, *entry.tags, entry.owner, entry.source]).lower(),
        " ".join(f"{column.description} {column.unit} {' '.join(column.tags)}" for column in columns).lower(),
    )
    ranks = [next((rank for rank, text in enumerate(places) if word in text), None) for word in asked]
    known = [rank for rank in ranks if rank is not None]
    return max(known, default=0) if len(known) == len(ranks) else None
