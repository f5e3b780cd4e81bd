"""Walking the lineage graph: to any depth, either way, in one recursive query over integers.

A node without a version stands for all its versions. The walk therefore keeps the ids at which edges may begin: for a
version its own and that of its thing; for a thing those of all versions (see `schema.lineage.NodeRow`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import text

from ..core import DataError, Node, Workspace
from .engine import reading
from .lineage_store import follow_indexes, node_key
from .records import ColumnEdge, Edge

_EVERY = """
SELECT s.kind, s.name, s.version, t.kind, t.name, t.version{more}
FROM {table} AS e JOIN lineage_node AS s ON s.id = e.source JOIN lineage_node AS t ON t.id = e.target
ORDER BY e.id
"""
T = TypeVar("T")
# The ends of an edge, seen from where the walk stands.
_ENDS = {True: ("target", "source"), False: ("source", "target")}
_START = """
SELECT id FROM lineage_node WHERE kind = :kind AND name = :name AND version IN (:version, '') AND :version <> ''
UNION SELECT id FROM lineage_node WHERE kind = :kind AND name = :name AND :version = ''
"""
# CROSS JOIN fixes the order for SQLite; PostgreSQL is told by `follow_indexes`.
_WALK = """
WITH RECURSIVE walk (near, distance) AS (
    SELECT id, 0 FROM ({start}) AS start
    UNION
    SELECT same.id, {distance}
    FROM walk CROSS JOIN lineage_edge AS edge CROSS JOIN lineage_node AS far CROSS JOIN lineage_node AS same
    WHERE edge.{near} = walk.near AND far.id = edge.{far}
      AND (same.id IN (far.id, far.thing) OR same.thing = far.id) {within}
)
SELECT s.kind, s.name, s.version, t.kind, t.name, t.version
FROM lineage_edge AS e CROSS JOIN lineage_node AS s CROSS JOIN lineage_node AS t
WHERE e.id IN (SELECT edge.id FROM walk CROSS JOIN lineage_edge AS edge WHERE edge.{near} = walk.near {within})
  AND s.id = e.source AND t.id = e.target
ORDER BY e.id
"""
_COLUMN_WALK = """
WITH RECURSIVE walk (near, name, distance) AS (
    SELECT id, CAST(:column AS text), 0 FROM ({start}) AS start
    UNION
    SELECT same.id, edge.{far}_column, {distance}
    FROM walk CROSS JOIN lineage_column AS edge CROSS JOIN lineage_node AS far CROSS JOIN lineage_node AS same
    WHERE edge.{near} = walk.near AND edge.{near}_column = walk.name AND far.id = edge.{far}
      AND (same.id IN (far.id, far.thing) OR same.thing = far.id) {within}
)
SELECT s.kind, s.name, s.version, t.kind, t.name, t.version, e.source_column, e.target_column, e.how
FROM lineage_column AS e CROSS JOIN lineage_node AS s CROSS JOIN lineage_node AS t
WHERE e.id IN (
    SELECT edge.id FROM walk CROSS JOIN lineage_column AS edge
    WHERE edge.{near} = walk.near AND edge.{near}_column = walk.name {within}
) AND s.id = e.source AND t.id = e.target
ORDER BY e.id
"""


def walk(ws: Workspace, node: Node | str, depth: int | None, *, up: bool) -> list[Edge]:
    """The edges on every way from `node`; see `registry.upstream`."""
    return _answers(ws, _WALK, _named(node), {}, depth, up, _Makers().edge)


def walk_columns(ws: Workspace, node: Node | str, column: str, depth: int | None, *, up: bool) -> list[ColumnEdge]:
    """The column edges on every way from one column; see `registry.upstream_columns`."""

    return _answers(ws, _COLUMN_WALK, _named(node), {"column": column}, depth, up, _Makers().column_edge)


def every_edge(ws: Workspace) -> list[Edge]:
    """The whole graph, in the order in which it was recorded."""
    with reading(ws) as session:
        made = _Makers()
        return [made.edge(row) for row in session.execute(text(_EVERY.format(table="lineage_edge", more="")))]


def every_column_edge(ws: Workspace) -> list[ColumnEdge]:
    """All that is known of columns, in the order in which it was recorded."""
    query = _EVERY.format(table="lineage_column", more=", e.source_column, e.target_column, e.how")
    with reading(ws) as session:
        made = _Makers()
        return [made.column_edge(row) for row in session.execute(text(query))]


class _Makers:
    """Turns rows into edges; every node is made (and its name checked) once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str], Node] = {}

    def edge(self, row: Any) -> Edge:
        return Edge(self._node(row[0], row[1], row[2]), self._node(row[3], row[4], row[5]))

    def column_edge(self, row: Any) -> ColumnEdge:
        source, target = self._node(row[0], row[1], row[2]), self._node(row[3], row[4], row[5])
        return ColumnEdge(source, row[6], target, row[7], row[8])

    def _node(self, kind: str, name: str, version: str) -> Node:
        key = (kind, name, version)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Node(kind, name, version)
        return found


def _named(node: Node | str) -> Node:
    return Node.parse(node) if isinstance(node, str) else node


def _answers(
    ws: Workspace, query: str, start: Node, more: dict[str, str], depth: int | None, up: bool, make: Callable[[Any], T]
) -> list[T]:
    if depth is not None and depth < 0:
        raise DataError(f"depth {depth} is not valid: use 0 or more, or None for no limit")
    with reading(ws) as session:
        longest = session.execute(text("SELECT max(id) FROM lineage_node")).scalar() or 0
        limit = None if depth is None or depth > longest else depth  # no way without a cycle is longer
        near, far = _ENDS[up]
        # The distance is kept only where a limit asks for it: `UNION` then drops what was seen, and a cycle ends.
        step = {"distance": "0", "within": ""} if limit is None else {}
        limited = {"distance": "walk.distance + 1", "within": "AND walk.distance < :depth"} | step
        statement = query.format(start=_START, near=near, far=far, **limited)
        parameters = dict(zip(("kind", "name", "version"), node_key(start), strict=True)) | more
        follow_indexes(session)
        rows = session.execute(text(statement), parameters | ({} if limit is None else {"depth": limit}))
        return [make(row) for row in rows.all()]  # in one piece: row by row costs as much as the query
