"""SQL over tables at pinned versions, run by DataFusion inside deltalake."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from ..core import DEFAULT_NAMESPACE, DataError, NotFound, Ref, Workspace
from .arrow_types import fit_to_schema, storable_schema
from .delta_log import is_empty_creation, list_tables, open_delta

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
    tables = list_tables(ws)
    pins = {Ref.parse(name).qualified: version for name, version in (at or {}).items()}
    builder = QueryBuilder()
    try:
        _register(ws, builder, _mentioned(query, tables), pins)
        result = pa.table(builder.execute(query).read_all())
    except DeltaError as error:
        missing = _NOT_FOUND.search(str(error))
        if missing:
            raise NotFound(f"table {missing[1]!r} does not exist; tables: {_listing(ws, tables)}") from error
        raise DataError(f"the query cannot be run: {error}. The query was: {query}") from error
    # DataFusion returns string views, which few libraries read.
    return fit_to_schema(result, storable_schema(result.schema)) if result.num_columns else result


def _mentioned(query: str, tables: list[Ref]) -> list[Ref]:
    names = {quoted or plain.lower() for quoted, plain in _NAME.findall(_SILENT.sub(" ", query))}
    main = [ref for ref in tables if ref.namespace == DEFAULT_NAMESPACE and ref.name in names]
    others = [ref for ref in tables if ref.namespace in names and ref.name in names]
    return list(dict.fromkeys([*main, *others]))


def _register(ws: Workspace, builder: QueryBuilder, tables: list[Ref], pins: Mapping[str, int]) -> None:
    for namespace in sorted({ref.namespace for ref in tables}):
        builder.execute(f'create schema if not exists "{namespace}"')
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


def _listing(ws: Workspace, tables: list[Ref]) -> str:
    return ", ".join(sorted(str(ref) for ref in tables)) or "none"
