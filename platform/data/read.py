"""Reading tables at a pinned version: as Arrow without Ray, or as a Ray Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from .. import registry
from ..core import NotFound, Ref, SchemaMismatch, Workspace, ensure_ray, urls
from ..registry import TableVersion
from .arrow_types import describe
from .delta_log import RowCounts, all_entries, arrow_schema, count_rows, entries, is_empty_creation, open_delta, require
from .promises import file_promise
from .storage_errors import storage_errors

if TYPE_CHECKING:
    import ray.data

# A pyarrow expression, or the list form of pyarrow.parquet; pyarrow has no types to name.
Filter: TypeAlias = Any


def table(
    ws: Workspace,
    ref: Ref | str,
    *,
    columns: Sequence[str] | None = None,
    filter: Filter = None,  # noqa: A002
) -> pa.Table:
    """Read a table, or a version of it, into memory; starts no Ray.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        columns: Which columns, in this order; all by default.
        filter: A pyarrow expression, or rows in pyarrow's list form such as ``[("origin", "==", "EWR")]``. Files
            whose statistics exclude it are not opened.

    Raises:
        NotFound: There is no such table or version.
        SchemaMismatch: A column does not exist.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "numbers", pa.table({"n": [1, 2, 3]}))
        >>> table(ws, "numbers@1", filter=[("n", ">", 1)])["n"].to_pylist()
        [2, 3]
    """
    parsed = _reference(ref)
    opened = require(ws, parsed)
    schema = arrow_schema(opened)
    wanted = check_columns(columns, schema, parsed)
    expression = as_expression(filter)
    with storage_errors(ws.table_url(parsed)):
        dataset = pds.FileSystemDataset(
            fragments(opened, ws.table_url(parsed), expression), schema, pds.ParquetFileFormat()
        )
        return dataset.to_table(columns=wanted, filter=expression)


def read(
    ws: Workspace,
    ref: Ref | str,
    *,
    columns: Sequence[str] | None = None,
    filter: Filter = None,  # noqa: A002
) -> ray.data.Dataset:
    """Read a table, or a version of it, as a Ray Dataset; the version is pinned now.

    Args:
        ws: The workspace.
        ref: ``flights`` (newest) or ``flights@3``.
        columns: Which columns, in this order; all by default.
        filter: As for `table`.

    Raises:
        NotFound: There is no such table or version.
        SchemaMismatch: A column does not exist.

    Example:
        >>> read(ws, "flights", columns=["late"]).count()
        500
    """
    from .table_source import table_dataset

    parsed = _reference(ref)
    opened = require(ws, parsed)
    schema = arrow_schema(opened)
    expression = as_expression(filter)
    wanted = check_columns(columns, schema, parsed)
    found = fragments(opened, ws.table_url(parsed), expression)
    ensure_ray(ws)
    return table_dataset(found, schema, wanted, expression)


def exists(ws: Workspace, ref: Ref | str) -> bool:
    """Whether a table, or the version that `ref` pins, exists.

    Example:
        >>> import tempfile
        >>> exists(Workspace.open(tempfile.mkdtemp()), "flights")
        False
    """
    try:
        require(ws, _reference(ref))
    except NotFound:
        return False
    return True


def versions(ws: Workspace, ref: Ref | str) -> list[TableVersion]:
    """Every version of a table that holds rows or changed them, oldest first, from the table's own log.

    Raises:
        NotFound: There is no such table.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> for n in (1, 2):
        ...     version = write(ws, "numbers", pa.table({"n": [n]}))
        >>> [(str(version), version.rows) for version in versions(ws, "numbers")]
        [('numbers@1', 1), ('numbers@2', 2)]
    """
    parsed = _reference(ref)
    opened = require(ws, Ref(parsed.name, namespace=parsed.namespace))
    columns = describe(arrow_schema(opened))
    found: list[TableVersion] = []
    counts = RowCounts()
    for entry in all_entries(opened, ws.table_url(parsed)):
        counts.apply(entry)
        if entry.version == 0 and entry.operation == "CREATE TABLE":
            continue
        moment = datetime.fromtimestamp(entry.timestamp / 1000, UTC)
        operation = str(entry.facts.get("operation", entry.operation.lower()))
        metrics = dict(entry.facts.get("metrics", {}))
        source = str(entry.facts.get("source", ""))
        rows = counts.total
        found.append(TableVersion(parsed.qualified, entry.version, rows, columns, operation, metrics, source, moment))
    return found


def sync_table(ws: Workspace, ref: Ref | str) -> TableVersion:
    """Record in the registry the newest version of a table that workers wrote with ``record=False``.

    Raises:
        NotFound: There is no such table.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "predictions.delay", pa.table({"p": [0.5]}), record=False)
        >>> str(sync_table(ws, "predictions.delay"))
        'predictions.delay@1'
    """
    parsed = _reference(ref)
    opened = require(ws, parsed)
    newest = next((entry for entry in entries(opened, ws.table_url(parsed)) if entry.version == opened.version()), None)
    facts = {} if newest is None else newest.facts
    return registry.record_table(
        ws,
        Ref(parsed.name, namespace=parsed.namespace),
        opened.version(),
        rows=count_rows(opened),
        schema=describe(arrow_schema(opened)),
        operation=str(facts.get("operation", "write")),
        metrics={"rows_written": facts.get("rows"), "files": facts.get("files")},
        source=str(facts.get("source", "")),
    )


def as_expression(chosen: Filter) -> pc.Expression | None:
    """A filter as a pyarrow expression."""
    if chosen is None or isinstance(chosen, pc.Expression):
        return chosen
    return pq.filters_to_expression(chosen)


def newest_version(ws: Workspace, ref: Ref) -> int | None:
    """The table's newest version, or ``None`` when there is no table."""
    opened = open_delta(ws.table_url(ref))
    return None if opened is None or is_empty_creation(opened) else opened.version()


def fragments(opened: DeltaTable, url: str, wanted: pc.Expression | None) -> list[Any]:
    """The version's files, each with what its statistics promise; those that `wanted` excludes are left out."""
    schema = arrow_schema(opened)
    partitions = opened.metadata().partition_columns
    store, folder = urls.filesystem(url)
    layout = pds.ParquetFileFormat()
    made = []
    for action in pa.table(opened.get_add_actions()).to_pylist():
        promise = file_promise(action, schema, partitions)
        made.append(layout.make_fragment(f"{folder}/{unquote(action['path'])}", store, promise))
    if wanted is None:
        return made
    return list(pds.FileSystemDataset(made, schema, layout).get_fragments(filter=wanted))


def paths_that_may_match(opened: DeltaTable, url: str, wanted: pc.Expression) -> list[str]:
    """The files, named as in the store, whose statistics do not exclude `wanted`."""
    _, folder = urls.filesystem(url)
    return [fragment.path[len(folder) + 1 :] for fragment in fragments(opened, url, wanted)]


def _reference(ref: Ref | str) -> Ref:
    parsed = Ref.parse(ref) if isinstance(ref, str) else ref
    if parsed.alias is not None:
        raise NotFound(f"table {str(ref)!r} names an alias: tables have versions only, such as {parsed.name}@3")
    return parsed


def check_columns(columns: Sequence[str] | None, schema: pa.Schema, ref: Ref) -> list[str] | None:
    """The wanted columns; raise `SchemaMismatch` when the table lacks one."""
    unknown = [name for name in columns or () if name not in schema.names]
    if unknown:
        raise SchemaMismatch(f"table {str(ref)!r} has no columns {unknown}; it has {schema.names}")
    return None if columns is None else list(columns)
