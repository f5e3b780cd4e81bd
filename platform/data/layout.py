"""How a table lies on disk: facts about it, and files put together or sorted without a change of rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, WriterProperties

from ..core import Conflict, Ref, SchemaMismatch, Workspace
from ..registry import TableVersion
from .arrow_types import describe
from .commits import Committed, look_up
from .delta_log import METADATA_KEY, arrow_schema, count_rows, entries, require
from .file_writer import TARGET_BYTES
from .in_flight import in_flight
from .storage_errors import storage_errors
from .write import to_version, unpinned

_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Facts:
    """What the log alone tells of a table version.

    Attributes:
        name: ``namespace.name``.
        version: The version.
        rows: Number of rows, or ``None`` when a file has no statistics.
        bytes: Size of its files.
        files: Number of its files.
        columns: Column name to type name.
        partition_by: Partition columns.
        last_write: When the version was committed.
        operation: What made it.
    """

    name: str
    version: int
    rows: int | None
    bytes: int
    files: int
    columns: dict[str, str]
    partition_by: tuple[str, ...]
    last_write: datetime
    operation: str


def facts(ws: Workspace, ref: Ref | str) -> Facts:
    """Rows, bytes, files and last write of a table or a version of it, from its log alone.

    Raises:
        NotFound: There is no such table or version.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "numbers", pa.table({"n": [1, 2]}))
        >>> found = facts(ws, "numbers")
        >>> found.version, found.rows, found.files, found.columns
        (1, 2, 1, {'n': 'int64'})
    """
    wanted = Ref.parse(ref) if isinstance(ref, str) else ref
    table = require(ws, wanted)
    sizes = pa.table(table.get_add_actions()).column("size_bytes")
    newest = next(entries(table, ws.table_url(wanted)), None)
    stamp = 0 if newest is None else newest.timestamp
    told = {} if newest is None else newest.facts
    return Facts(
        name=wanted.qualified,
        version=table.version(),
        rows=count_rows(table),
        bytes=int(pc.sum(sizes).as_py() or 0),
        files=len(sizes),
        columns=describe(arrow_schema(table)),
        partition_by=tuple(table.metadata().partition_columns),
        last_write=datetime.fromtimestamp(stamp / 1000, UTC),
        operation=str(told.get("operation", "" if newest is None else newest.operation.lower())),
    )


def compact(ws: Workspace, name: str, *, target_bytes: int = TARGET_BYTES, record: bool = True) -> TableVersion:
    """Put small files together, partition by partition; the rows stay the same.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        target_bytes: Size of the files that are made.
        record: Whether to record the version in the registry.

    Returns:
        The version that it made, or the newest as it is when there is nothing to put together.

    Raises:
        NotFound: There is no such table.
        Conflict: Others change the same files all the time.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for n in range(3):
        ...     _ = write(ws, "numbers", pa.table({"n": [n]}))
        >>> str(compact(ws, "numbers")), facts(ws, "numbers").files, facts(ws, "numbers").rows
        ('numbers@4', 1, 3)
    """

    def work(table: DeltaTable, properties: CommitProperties) -> dict[str, Any]:
        return table.optimize.compact(
            target_size=target_bytes, commit_properties=properties, writer_properties=_writer_properties()
        )

    return _arrange(ws, name, "compact", work, record)


def z_order(
    ws: Workspace, name: str, columns: Sequence[str], *, target_bytes: int = TARGET_BYTES, record: bool = True
) -> TableVersion:
    """Sort a table's rows along a Z curve, so that filters on any of the columns skip most files.

    Args:
        ws: The workspace.
        name: ``name`` or ``namespace.name``.
        columns: The columns that queries filter by; no partition columns.
        target_bytes: Size of the files that are made.
        record: Whether to record the version in the registry.

    Raises:
        NotFound: There is no such table.
        SchemaMismatch: A column does not exist, or is a partition column.
        Conflict: Others change the same files all the time.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "points", pa.table({"x": [1, 2, 3], "y": [3, 2, 1]}))
        >>> z_order(ws, "points", ["x", "y"]).operation
        'z_order'
    """
    table = require(ws, unpinned(name))
    usable = [one for one in arrow_schema(table).names if one not in table.metadata().partition_columns]
    if not columns or (wrong := [one for one in columns if one not in usable]):
        raise SchemaMismatch(
            f"table {name!r} cannot be sorted by {wrong if columns else 'no column'}: choose of {usable}"
        )

    def work(opened: DeltaTable, properties: CommitProperties) -> dict[str, Any]:
        return opened.optimize.z_order(
            list(columns),
            target_size=target_bytes,
            commit_properties=properties,
            writer_properties=_writer_properties(),
        )

    return _arrange(ws, name, "z_order", work, record)


def _writer_properties() -> WriterProperties:
    return WriterProperties(compression="ZSTD", compression_level=1)


def _arrange(
    ws: Workspace, name: str, operation: str, work: Callable[[DeltaTable, CommitProperties], object], record: bool
) -> TableVersion:
    ref = unpinned(name)
    url = ws.table_url(ref)
    for _ in range(_ROUNDS):
        table = require(ws, ref)
        before = table.version()
        mark = uuid.uuid4().hex
        properties = CommitProperties({METADATA_KEY: json.dumps({"operation": operation, "commit": mark})})
        try:
            with in_flight(url), storage_errors(url):
                work(table, properties)
        except Conflict:
            continue
        if table.version() == before:
            told = {"operation": facts(ws, ref.at(before)).operation}
            return to_version(
                ws, ref, Committed(before, count_rows(table), arrow_schema(table), told, True), record=record
            )
        # Without anything to do deltalake may still have moved on to what others committed meanwhile.
        if (done := look_up(url, mark)) is not None:
            return to_version(ws, ref, done, record=record)
    raise Conflict(
        f"table {name!r} is changed by others all the time: nothing was changed; run {operation} again later"
    )
