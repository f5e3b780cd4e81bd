"""Which columns of a query's result come from which columns of the tables that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core import DEFAULT_NAMESPACE, Node
from ..registry import ColumnEdge

# Quotes as DataFusion does; names are taken as they are written, as deltalake tells DataFusion to.
_DIALECT = "postgres, normalization_strategy=case_sensitive"


def column_edges(query: str, inputs: Mapping[Node, Sequence[str]], target: Node) -> list[ColumnEdge]:
    """The column edges of a query, as sqlglot traces them through subqueries, joins and unions.

    Columns that only choose, group or order rows are no sources of a value. A query that sqlglot does not understand
    gives no edges: the tables that it reads are recorded all the same.

    Args:
        query: SQL as for `raylake.data.sql`.
        inputs: Each table version that it reads, to its columns.
        target: What the result becomes.

    Example:
        >>> visits, sums = Node("table", "main.visits", "1"), Node("table", "main.sums", "1")
        >>> query = "select patient, sum(n) * 2 as twice from visits group by 1"
        >>> for edge in column_edges(query, {visits: ["patient", "n", "at"]}, sums):
        ...     print(edge.source_column, "->", edge.target_column, edge.how)
        patient -> patient
        n -> twice SUM(visits.n) * 2
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.schema import MappingSchema

    known: dict[str, dict[str, dict[str, str]]] = {}
    nodes: dict[tuple[str, str], Node] = {}
    for node, columns in inputs.items():
        namespace, _, name = node.name.rpartition(".")
        nodes[namespace or DEFAULT_NAMESPACE, name] = node
        known.setdefault(namespace or DEFAULT_NAMESPACE, {})[name] = dict.fromkeys(columns, "unknown")
    schema = MappingSchema(dict(known), normalize=False, dialect=_DIALECT)
    try:
        found = lineage(None, query, schema=schema, dialect=_DIALECT, db=DEFAULT_NAMESPACE)
    except SqlglotError:
        return []
    assert isinstance(found, dict)  # asked for all columns
    edges: dict[tuple[Node, str, str], ColumnEdge] = {}
    for column, root in found.items():
        made = root.expression.unalias() if isinstance(root.expression, exp.Expression) else None
        how = "" if made is None or isinstance(made, exp.Column) else made.sql(_DIALECT)[:200]
        for leaf in root.walk():
            if leaf.downstream or not isinstance(leaf.source, exp.Table):
                continue
            source = nodes.get((leaf.source.db, leaf.source.name))
            name = exp.to_column(leaf.name, dialect=_DIALECT).name
            if source is not None and name in inputs[source]:
                edges[source, name, column] = ColumnEdge(source, name, target, column, how)
    return list(edges.values())
