"""SQL over tables at pinned versions, run by DataFusion inside deltalake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from ..core import DEFAULT_NAMESPACE, DataError, Node, NotFound, Ref, Workspace, table_node
from ..registry import TableVersion, add_column_edges
from .arrow_types import fit_to_schema, storable_schema
from .commits import Mode, SchemaMode, find_committed
from .delta_log import is_empty_creation, list_tables, open_delta
from .sql_columns import query_columns
from .write import to_version, unpinned, write

# Text literals and comments hold no table names.
_SILENT = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_NAME = re.compile(r'"([^"]+)"|([A-Za-z_][A-Za-z0-9_]*)')
_NOT_FOUND = re.compile(r"table '(?:datafusion\.)?(?:public\.)?([^']+)' not found")


def sql(ws: Workspace, query: str, *, at: Mapping[str, int] | None = None) -> pa.Table:
    """Run one SQL query over the workspace's tables; starts no Ray.

    Args:
        ws: The workspace.
        query: SQL of Apache DataFusion. Tables of the namespace ``main`` are named ``flights``, others
            ``predictions."flight-delay"``; names with ``-`` stand in double quotes.
        at: Versions to read, such as ``{"flights": 3}``; the newest by default.

    Raises:
        NotFound: A table or version does not exist; the message lists those that do.
        DataError: The query is not valid SQL, or names a column that does not exist.

    Example:
        >>> import tempfile
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> version = write(ws, "flights", pa.table({"origin": ["EWR", "JFK", "EWR"]}))
        >>> sql(ws, "select origin, count(*) as n from flights group by 1 order by 2").to_pylist()
        [{'origin': 'JFK', 'n': 1}, {'origin': 'EWR', 'n': 2}]
    """
    reader, _ = _run(ws, query, at)
    with _query_errors(ws, query):
        result = reader.read_all()
    # DataFusion returns string views, which few libraries read.
    return fit_to_schema(result, storable_schema(result.schema)) if result.num_columns else result


def derive(
    ws: Workspace,
    name: str,
    query: str,
    *,
    at: Mapping[str, int] | None = None,
    mode: Mode = "overwrite",
    app: tuple[str, int] | None = None,
    partition_by: Sequence[str] = (),
) -> TableVersion:
    """Write the result of a SQL query to a table, batch by batch, with lineage to the versions and columns it read.

    Memory stays flat, so this is also the way to a result that is larger than memory: `read` gives it as a Dataset.

    Args:
        ws: The workspace.
        name: Table to write.
        query: As for `sql`; every column of the result needs a name.
        at: Versions to read; the newest by default.
        mode: ``overwrite`` replaces rows and columns of the table, ``append`` adds rows.
        app: Application transaction (id, version): repeated, the call writes nothing, as for `write`.
        partition_by: Partition columns of a new table.

    Raises:
        NotFound: A table or version does not exist.
        DataError: The query is not valid.
        SchemaMismatch: The result does not fit the table.
        Conflict: The table was written by others meanwhile.

    Example:
        >>> import tempfile
        >>> from raylake import registry
        >>> from raylake.data import write
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> _ = write(ws, "flights", pa.table({"origin": ["EWR", "JFK", "EWR"]}))
        >>> counts = derive(ws, "counts", "select origin, count(*) as n from flights group by 1", app=("daily", 1))
        >>> str(counts), counts.rows, [str(edge.source) for edge in registry.upstream(ws, counts.node)]
        ('counts@1', 2, ['table:main.flights@1'])
    """
    done = None if app is None else find_committed(ws.table_url(unpinned(name)), app)
    if done is not None:
        return to_version(ws, unpinned(name), done)
    reader, inputs = _run(ws, query, at)
    evolve: SchemaMode = "evolve" if mode == "overwrite" else "enforce"
    columns = reader.schema.names
    with _query_errors(ws, query):
        made = write(
            ws,
            name,
            reader,
            mode=mode,
            app=app,
            partition_by=partition_by,
            inputs=[*inputs],
            operation="sql",
            schema_mode=evolve,
            metadata={"query": query},
        )
    add_column_edges(ws, query_columns(query, inputs, made.node, columns))
    return made


def _run(ws: Workspace, query: str, at: Mapping[str, int] | None) -> tuple[pa.RecordBatchReader, dict[Node, list[str]]]:
    """The result as a stream, and the versions that it reads, with their columns."""
    tables = list_tables(ws)
    pins = {Ref.parse(name).qualified: version for name, version in (at or {}).items()}
    builder = QueryBuilder()
    with _query_errors(ws, query):
        inputs = _register(ws, builder, mentioned(query, tables), pins)
        return pa.RecordBatchReader.from_stream(builder.execute(query)), inputs


@contextmanager
def _query_errors(ws: Workspace, query: str) -> Iterator[None]:
    try:
        yield
    # What fails while the stream is read comes through Arrow.
    except (DeltaError, pa.ArrowException) as error:
        missing = _NOT_FOUND.search(str(error))
        if missing:
            raise NotFound(f"table {missing[1]!r} does not exist; tables: {_listing(list_tables(ws))}") from error
        raise DataError(f"the query cannot be run: {error}. The query was: {query}") from error


def mentioned(query: str, tables: list[Ref]) -> list[Ref]:
    """Those of `tables` whose name stands in a query, outside texts and comments."""
    names = {quoted or plain.lower() for quoted, plain in _NAME.findall(_SILENT.sub(" ", query))}
    main = [ref for ref in tables if ref.namespace == DEFAULT_NAMESPACE and ref.name in names]
    others = [ref for ref in tables if ref.namespace in names and ref.name in names]
    return list(dict.fromkeys([*main, *others]))


def _register(
    ws: Workspace, builder: QueryBuilder, tables: list[Ref], pins: Mapping[str, int]
) -> dict[Node, list[str]]:
    for namespace in sorted({ref.namespace for ref in tables}):
        builder.execute(f'create schema if not exists "{namespace}"')
    inputs = {}
    for ref in tables:
        version = pins.get(ref.qualified)
        newest = open_delta(ws.table_url(ref))
        if newest is None or is_empty_creation(newest):
            continue
        if version is not None and version > newest.version():
            raise NotFound(f"table {str(ref)!r} has no version {version}; its newest is {newest.version()}")
        opened = newest if version is None else open_delta(ws.table_url(ref), version)
        assert opened is not None
        builder.register(f'"{ref.namespace}"."{ref.name}"', opened)
        if ref.namespace == DEFAULT_NAMESPACE:
            builder.register(f'"{ref.name}"', opened)
        inputs[table_node(ref, opened.version())] = [field.name for field in opened.schema().fields]
    return inputs


def _listing(tables: list[Ref]) -> str:
    return ", ".join(sorted(str(ref) for ref in tables)) or "none"
