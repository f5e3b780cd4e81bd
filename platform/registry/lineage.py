"""Lineage: which thing was made from which, and which column from which, walked to any depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core import Node, Workspace
from .engine import writing
from .lineage_store import connect, insert_columns, insert_edges
from .lineage_walk import walk, walk_columns
from .records import ColumnEdge, Edge

__all__ = [
    "add_column_edges",
    "add_column_lineage",
    "add_edges",
    "add_lineage",
    "connect",
    "downstream",
    "downstream_columns",
    "upstream",
    "upstream_columns",
]


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
        >>> add_lineage(ws, [Node("file", "flights.csv")], [Node("table", "main.flights", "1")])
        >>> [str(edge.source) for edge in upstream(ws, "table:main.flights")]
        ['file:flights.csv']
    """
    return walk(ws, node, depth, up=True)


def downstream(ws: Workspace, node: Node | str, *, depth: int | None = None) -> list[Edge]:
    """The edges on every way that starts at `node`: what depends on it. Otherwise as `upstream`.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> add_lineage(ws, [Node("file", "flights.csv")], [Node("table", "main.flights", "1")])
        >>> [str(edge.target) for edge in downstream(ws, "file:flights.csv")]
        ['table:main.flights@1']
    """
    return walk(ws, node, depth, up=False)


def add_edges(ws: Workspace, edges: Iterable[Edge]) -> None:
    """Record many edges in one transaction, in batches; those that exist already stay as they are.

    Raises:
        StorageError: The registry cannot be reached or written; then no edge was recorded.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> nodes = [Node("table", "main.flights", str(version)) for version in range(3)]
        >>> add_edges(ws, [Edge(nodes[0], nodes[1]), Edge(nodes[1], nodes[2])])
        >>> len(downstream(ws, nodes[0])), len(downstream(ws, nodes[0], depth=1))
        (2, 1)
    """
    with writing(ws) as session:
        insert_edges(session, edges)


def add_column_lineage(
    ws: Workspace, source: Node, target: Node, columns: Mapping[str, str | Iterable[str]], *, how: str = ""
) -> None:
    """Record which columns of `target` were made from which columns of `source`.

    The edge between the two is recorded by `add_lineage`, often through a run; this adds what is known of columns.

    Args:
        ws: The workspace.
        source: What was read.
        target: What was written.
        columns: For a column of `target`, the column or columns of `source` it was made from.
        how: How, in a word or two; ``""`` for a copy.

    Raises:
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> raw, view = Node("table", "main.flights", "3"), Node("table", "features.congestion", "1")
        >>> add_column_lineage(ws, raw, view, {"late": ["dep_delay", "origin"]}, how="mean over 3h")
        >>> [edge.target_column for edge in downstream_columns(ws, raw, "dep_delay")]
        ['late']
    """
    add_column_edges(
        ws,
        (
            ColumnEdge(source, one, target, column, how)
            for column, sources in columns.items()
            for one in ((sources,) if isinstance(sources, str) else sources)
        ),
    )


def add_column_edges(ws: Workspace, edges: Iterable[ColumnEdge]) -> None:
    """Record many column edges in one transaction; those that exist already stay as they are.

    Raises:
        StorageError: The registry cannot be reached or written; then no edge was recorded.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> raw, made = Node("table", "main.flights", "3"), Node("table", "training.late", "1")
        >>> add_column_edges(ws, [ColumnEdge(raw, "distance", made, "distance")])
        >>> len(upstream_columns(ws, made, "distance"))
        1
    """
    with writing(ws) as session:
        insert_columns(session, edges)


def upstream_columns(ws: Workspace, node: Node | str, column: str, *, depth: int | None = None) -> list[ColumnEdge]:
    """The column edges on every way that leads to one column: what its values were made from.

    Args:
        ws: The workspace.
        node: A node or its text; without a version it stands for all versions.
        column: The column's name.
        depth: Longest way in edges; ``None`` walks to the ends.

    Returns:
        Each edge once, in the order in which they were recorded; empty where nothing is known of columns.

    Raises:
        InvalidName: `node` breaks the naming rule.
        DataError: `depth` is negative.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> raw, view = Node("table", "main.flights", "3"), Node("table", "features.congestion", "1")
        >>> add_column_lineage(ws, raw, view, {"late": "dep_delay"}, how="mean over 3h")
        >>> [(edge.source_column, edge.how) for edge in upstream_columns(ws, view, "late")]
        [('dep_delay', 'mean over 3h')]
    """
    return walk_columns(ws, node, column, depth, up=True)


def downstream_columns(ws: Workspace, node: Node | str, column: str, *, depth: int | None = None) -> list[ColumnEdge]:
    """The column edges on every way that starts at one column: what its values went into. As `upstream_columns`.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> raw, view = Node("table", "main.flights", "3"), Node("table", "features.congestion", "1")
        >>> add_column_lineage(ws, raw, view, {"late": "dep_delay"}, how="mean over 3h")
        >>> [edge.target_column for edge in downstream_columns(ws, "table:main.flights", "dep_delay")]
        ['late']
    """
    return walk_columns(ws, node, column, depth, up=False)
