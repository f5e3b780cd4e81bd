"""Lineage: which thing was made from which, walked to any depth by one recursive query."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlmodel import Session

from ..core import DataError, Node, Workspace
from .columns import clean
from .engine import now, reading, writing
from .records import Edge
from .rows import insert_new
from .schema import MAPPERS, EdgeRow, NodeRow

_NODE = MAPPERS.metadata.tables["lineage_node"]
_EDGE = MAPPERS.metadata.tables["lineage_edge"]
_PARTS = ("kind", "name", "version")


def add_lineage(ws: Workspace, inputs: Iterable[Node], outputs: Iterable[Node], *, by: Node | None = None) -> None:
    """Record that `outputs` were made from `inputs`; edges that exist already stay as they are.

    Args:
        ws: The workspace.
        inputs: What was read.
        outputs: What was written.
        by: What did it, such as a run: then the edges are inputs to `by` and `by` to outputs, otherwise every
            input to every output.

    Raises:
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> raw, model = Node("table", "main.flights", "3"), Node("model", "flight-delay", "1")
        >>> add_lineage(ws, [raw], [model])
        >>> [str(edge.target) for edge in downstream(ws, raw)]
        ['model:flight-delay@1']
    """
    sources, targets = [*inputs], [*outputs]
    with writing(ws) as session:
        if by is None:
            connect(session, sources, targets)
        else:
            connect(session, sources, [by])
            connect(session, [by], targets)


def upstream(ws: Workspace, node: Node | str, *, depth: int | None = None) -> list[Edge]:
    """The edges on every way that leads to `node`: what it was made from.

    A node without a version stands for all its versions, as the start and on the way.

    Args:
        ws: The workspace.
        node: A node or its text, ``endpoint:flight-delay``.
        depth: Longest way in edges (1: direct inputs); ``None`` walks to the ends. Cycles end the walk.

    Returns:
        Each edge once, in the order in which they were recorded; empty for an unknown node.

    Raises:
        InvalidName: `node` breaks the naming rule.
        DataError: `depth` is negative.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> flights, model = Node("table", "main.flights", "1"), Node("model", "flight-delay", "1")
        >>> add_lineage(ws, [flights], [model])
        >>> add_lineage(ws, [model], [Node("endpoint", "delays")])
        >>> [str(edge.source) for edge in upstream(ws, "endpoint:delays")]
        ['table:main.flights@1', 'model:flight-delay@1']
    """
    return _walk(ws, node, depth, up=True)


def downstream(ws: Workspace, node: Node | str, *, depth: int | None = None) -> list[Edge]:
    """The edges on every way that starts at `node`: what depends on it. Otherwise as `upstream`.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> flights, model = Node("table", "main.flights", "1"), Node("model", "flight-delay", "1")
        >>> add_lineage(ws, [flights], [model])
        >>> [str(edge.target) for edge in downstream(ws, "table:main.flights")]
        ['model:flight-delay@1']
    """
    return _walk(ws, node, depth, up=False)


def connect(session: Session, sources: Iterable[Node], targets: Iterable[Node]) -> None:
    """Record the edges from every source to every target inside an open transaction."""
    pairs = [(source, target) for source in dict.fromkeys(sources) for target in dict.fromkeys(targets)]
    ids = _identify(session, {node for pair in pairs for node in pair})
    at = now()
    edges = [{"source": ids[_key(s)], "target": ids[_key(t)], "created_at": at} for s, t in pairs]
    # Sorted, so that two writers of the same edges wait for each other instead of locking each other out.
    insert_new(session, EdgeRow, sorted(edges, key=lambda edge: (edge["source"], edge["target"])))


def _key(node: Node) -> tuple[str, str, str]:
    return (clean(node.kind), clean(node.name), clean(node.version))


def _identify(session: Session, nodes: set[Node]) -> dict[tuple[str, str, str], int]:
    keys = sorted({_key(node) for node in nodes})
    insert_new(session, NodeRow, [dict(zip(_PARTS, key, strict=True)) for key in keys])
    found: dict[tuple[str, str, str], int] = {}
    for key in keys:
        same = and_(*(_NODE.c[part] == value for part, value in zip(_PARTS, key, strict=True)))
        found[key] = session.execute(select(_NODE.c.id).where(same)).scalar_one()
    return found


def _walk(ws: Workspace, node: Node | str, depth: int | None, *, up: bool) -> list[Edge]:
    start = Node.parse(node) if isinstance(node, str) else node
    if depth is not None and depth < 0:
        raise DataError(f"depth {depth} is not valid: use 0 or more, or None for no limit")
    source, target = _NODE.alias("source"), _NODE.alias("target")
    with reading(ws) as session:
        if depth is not None and depth > session.execute(select(func.count()).select_from(_NODE)).scalar_one():
            depth = None  # no way without a cycle is longer
        query = (
            select(*(end.c[part] for end in (source, target) for part in _PARTS))
            .select_from(_EDGE.join(source, source.c.id == _EDGE.c.source))
            .join(target, target.c.id == _EDGE.c.target)
            .where(_EDGE.c.id.in_(_followed(start, depth, up=up)))
            .order_by(_EDGE.c.id)
        )
        return [Edge(Node(*row[:3]), Node(*row[3:])) for row in session.execute(query)]


def _followed(start: Node, depth: int | None, *, up: bool) -> Select[int]:
    """Ids of the edges that a walk from `start` follows.

    The recursive part keeps nodes, with their distance only where a limit asks for it: `UNION` drops what was
    seen before, so that a cycle ends the walk.
    """
    near, far = (_EDGE.c.target, _EDGE.c.source) if up else (_EDGE.c.source, _EDGE.c.target)
    here = (literal(value, Text).label(part) for part, value in zip(_PARTS, _key(start), strict=True))
    begin = select(*here, literal(0, Integer).label("distance")).cte("walk", recursive=True)
    same, there = _NODE.alias("same"), _NODE.alias("there")
    distance = literal(0, Integer) if depth is None else begin.c.distance + 1
    step = (
        select(*(there.c[part] for part in _PARTS), distance)
        .select_from(begin)
        .join(same, _matches(begin, same))
        .join(_EDGE, near == same.c.id)
        .join(there, there.c.id == far)
        .where(_within(begin, depth))
    )
    walk = begin.union(step)
    edges = walk.join(same, _matches(walk, same)).join(_EDGE, near == same.c.id)
    return select(_EDGE.c.id).select_from(edges).where(_within(walk, depth))


def _within(walk: FromClause, depth: int | None) -> ColumnElement[bool]:
    return true() if depth is None else walk.c.distance < depth


def _matches(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """Same thing; without a version on either side, in any version."""
    versions = or_(one.c.version == other.c.version, one.c.version == "", other.c.version == "")
    return and_(one.c.kind == other.c.kind, one.c.name == other.c.name, versions)
