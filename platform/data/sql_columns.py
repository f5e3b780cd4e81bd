"""Which column of a query's result was made from which columns of the tables: read from the query by sqlglot."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from ..core import DEFAULT_NAMESPACE, Node, Ref
from ..registry import ColumnEdge

# DataFusion has no dialect of its own there; its quotes and most of its functions are PostgreSQL's. Names are taken as
# they are written, as deltalake tells DataFusion to.
_DIALECT = "postgres, normalization_strategy=case_sensitive"
_LONGEST = 200  # characters of an expression
_log = logging.getLogger(__name__)


def query_columns(
    query: str, read: Mapping[Node, Sequence[str]], made: Node, result: Sequence[str]
) -> list[ColumnEdge]:
    """Column edges from the tables that a query reads to what it made.

    Only what enters a column's values counts: not what rows are filtered, joined or ordered by. A query that cannot be
    understood gives no edges: nothing is claimed.

    Args:
        query: The SQL.
        read: Columns of each table version that it reads.
        made: What the result was written to.
        result: Names of the result's columns, in order.

    Example:
        >>> flights, counts = Node("table", "main.flights", "3"), Node("table", "main.counts", "1")
        >>> query = "select origin, avg(dep_delay + 1) as late from flights where distance > 9 group by 1"
        >>> known = {flights: ["origin", "dep_delay", "distance"]}
        >>> for edge in query_columns(query, known, counts, ["origin", "late"]):
        ...     print(edge.source_column, edge.target_column, edge.how)
        origin origin
        dep_delay late AVG(flights.dep_delay + 1)
    """
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    tables = {_place(node): node for node in read}
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for (namespace, name), node in tables.items():
        schema.setdefault(_quoted(namespace), {})[_quoted(name)] = {_quoted(each): "unknown" for each in read[node]}
    try:
        found = lineage(None, query, schema, dialect=_DIALECT, db=DEFAULT_NAMESPACE)
    except (SqlglotError, ValueError, RecursionError) as error:
        _log.info("nothing is recorded of the columns of %s: %s", made, error)
        return []
    if len(found) != len(result):
        return []
    return [
        ColumnEdge(tables[place], source, made, column, "" if plain else _expression(way))
        for column, way in zip(result, found.values(), strict=True)
        for place, source, plain in dict.fromkeys(_leaves(way))
        if place in tables
    ]


def _place(node: Node) -> tuple[str, str]:
    ref = Ref.parse(node.name)
    return ref.namespace, ref.name


def _quoted(name: str) -> str:
    return f'"{name}"'


def _leaves(way: object) -> Iterator[tuple[tuple[str, str], str, bool]]:
    """Table, column, and whether it was only copied, of everything at the ends of a column's way."""
    from sqlglot import exp
    from sqlglot.lineage import Node as Way

    waiting: list[tuple[Way, bool]] = [(way, True)] if isinstance(way, Way) else []
    while waiting:
        here, plain = waiting.pop()
        if isinstance(here.expression, exp.Table):
            column = exp.maybe_parse(here.name, into=exp.Column, dialect=_DIALECT)
            yield (here.expression.db, here.expression.name), column.name, plain
            continue
        copied = isinstance(here.expression.unalias(), exp.Column)
        waiting += [(each, plain and copied) for each in reversed(here.downstream)]


def _expression(way: object) -> str:
    from sqlglot.lineage import Node as Way

    assert isinstance(way, Way)
    return way.expression.unalias().sql(dialect=_DIALECT)[:_LONGEST]
