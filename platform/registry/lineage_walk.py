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
    made: dict[tuple[str, str, str], Node] = {}

    def one(kind: str, name: str, version: str) -> Node:
        key = (kind, name, version)
        found = made.get(key)
        if found is None:
            found = made[key] = Node(kind, name, version)
        return found

    def edge(row: Any) -> Edge:
        return Edge(one(row[0], row[1], row[2]), one(row[3], row[4], row[5]))

    return _answers(ws, _WALK, _named(node), {}, depth, up, edge)


def walk_columns(ws: Workspace, node: Node | str, column: str, depth: int | None, *, up: bool) -> list[ColumnEdge]:
    """The column edges on every way from one column; see `registry.upstream_columns`."""

    def edge(row: Any) -> ColumnEdge:
        return ColumnEdge(Node(*row[:3]), row[6], Node(*row[3:6]), row[7], row[8])

    return _answers(ws, _COLUMN_WALK, _named(node), {"column": column}, depth, up, edge)


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
        return [make(row) for row in rows]
