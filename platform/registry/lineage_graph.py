"""A part of the lineage graph as a value that draws itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlmodel import Session, col, select

from ..core import DataError, Node, Workspace
from .engine import reading
from .lineage_mermaid import mermaid
from .lineage_svg import svg
from .lineage_walk import walk
from .records import Edge, stands_for
from .schema import AliasRow, DriftReportRow, LineageEventRow, RunRow, TableVersionRow
from .show import block, escape, heading

Direction = Literal["upstream", "downstream", "both"]
_SOME = 500  # values of one IN


@dataclass(frozen=True, slots=True)
class LineageGraph:
    """A part of the lineage graph around one node.

    Attributes:
        start: What was asked for.
        edges: The edges, in the order in which they were recorded.
        labels: What is known of nodes beside their name, in a few words.
        hidden: How many further edges the walk found; they are farther from `start` than those here.

    Example:
        >>> raw, model = Node("table", "main.flights", "3"), Node("model", "flight-delay", "1")
        >>> graph = LineageGraph(model, (Edge(raw, model),))
        >>> [str(node) for node in graph.nodes]
        ['table:main.flights@3', 'model:flight-delay@1']
        >>> print(graph.to_mermaid())
        flowchart LR
          n0["table<br/>main.flights @ 3"]
          n1["model<br/>flight-delay @ 1"]
          n0 --> n1
          style n1 stroke-width:3px
    """

    start: Node
    edges: tuple[Edge, ...]
    labels: Mapping[Node, str] = field(default_factory=dict, compare=False)
    hidden: int = 0

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node once; `start` among them unless its versions are."""
        ends = dict.fromkeys(end for edge in self.edges for end in (edge.source, edge.target))
        return tuple(ends) if any(stands_for(self.start, end) for end in ends) else (self.start, *ends)

    def to_svg(self) -> str:
        """The picture: left to right in the order of making; alike nodes beside each other are drawn as one."""
        return svg(self.nodes, self.edges, self.labels, self.start)

    def to_mermaid(self) -> str:
        """The graph as text of a Mermaid flow chart, as Markdown pages of many sites draw it."""
        return mermaid(self.nodes, self.edges, self.labels, self.start)

    def __len__(self) -> int:
        return len(self.edges)

    def _repr_html_(self) -> str:
        rest = f'<div class="d">{self.hidden:,} edges farther away are not shown</div>' if self.hidden else ""
        note = escape(f"{len(self.nodes):,} nodes, {len(self.edges):,} edges")
        return block(f'{heading("Lineage", str(self.start))}{self.to_svg()}<div class="d">{note}</div>{rest}')


def lineage_graph(
    ws: Workspace, node: Node | str, *, direction: Direction = "both", depth: int | None = None, most: int = 300
) -> LineageGraph:
    """The lineage around a node, as a value that shows itself in a notebook, as SVG or as Mermaid text.

    Args:
        ws: The workspace.
        node: A node or its text, ``endpoint:flight-delay``; without a version it stands for all versions.
        direction: ``upstream`` (what it was made from), ``downstream`` (what was made from it) or ``both``.
        depth: Longest way in edges; ``None`` walks to the ends.
        most: Most edges to keep; the nearest stay.

    Raises:
        InvalidName: `node` breaks the naming rule.
        DataError: The direction is unknown, or `depth` is negative.

    Example:
        >>> import tempfile
        >>> from raylake.registry import add_lineage
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> add_lineage(ws, [Node("file", "flights.csv")], [Node("table", "main.flights", "1")])
        >>> graph = lineage_graph(ws, "table:main.flights")
        >>> len(graph), graph.to_svg().startswith("<svg")
        (1, True)
    """
    start = Node.parse(node) if isinstance(node, str) else node
    return graph_of(ws, start, lineage_edges(ws, start, direction=direction, depth=depth), most=most)


def lineage_edges(ws: Workspace, node: Node | str, *, direction: Direction, depth: int | None) -> list[Edge]:
    """The edges upstream, downstream or both, each once."""
    if direction not in ("upstream", "downstream", "both"):
        raise DataError(f"direction {direction!r} is not valid: use upstream, downstream or both")
    up = walk(ws, node, depth, up=True) if direction != "downstream" else []
    down = walk(ws, node, depth, up=False) if direction != "upstream" else []
    return list(dict.fromkeys([*up, *down]))


def graph_of(
    ws: Workspace,
    start: Node,
    edges: Sequence[Edge],
    *,
    most: int = 300,
    labels: Mapping[Node, str] | None = None,
) -> LineageGraph:
    """The nearest of given edges as a graph, with what the registry knows of their nodes; `labels` win."""
    kept = nearest(start, edges, most)
    ends = {end for edge in kept for end in (edge.source, edge.target)} | {start}
    with reading(ws) as session:
        known = _labels(session, ends)
    return LineageGraph(start, tuple(kept), {**known, **(labels or {})}, len(edges) - len(kept))


def nearest(start: Node, edges: Sequence[Edge], most: int) -> Sequence[Edge]:
    """At most `most` of the edges, those nearest to `start`, in their order.

    Example:
        >>> a, b, c = (Node("table", name) for name in "abc")
        >>> nearest(c, [Edge(a, b), Edge(b, c)], 1) == [Edge(b, c)]
        True
    """
    if len(edges) <= most:
        return edges
    around: dict[Node, list[int]] = {}
    for place, edge in enumerate(edges):
        around.setdefault(edge.source, []).append(place)
        around.setdefault(edge.target, []).append(place)
    begin = [node for node in around if (node.kind, node.name) == (start.kind, start.name)]
    kept: dict[int, None] = {}
    seen, level = set(begin), begin
    while level and len(kept) < most:
        found = dict.fromkeys(place for node in level for place in around[node])
        kept.update(found)
        ends = dict.fromkeys(end for place in found for end in (edges[place].source, edges[place].target))
        level = [end for end in ends if end not in seen]
        seen.update(level)
    return [edges[place] for place in sorted([*kept][:most])]


def _labels(session: Session, nodes: Iterable[Node]) -> dict[Node, str]:
    """A few words on each node of which the registry knows more than its name."""
    by_kind: dict[str, dict[str, Node]] = {}
    for node in nodes:
        key = f"{node.name}@{node.version}" if node.kind in ("table", "model") else node.name
        by_kind.setdefault(node.kind, {})[key] = node
    found: dict[Node, str] = {}
    for kind, describe in (("run", _runs), ("model", _models), ("table", _tables), ("report", _reports)):
        named = by_kind.get(kind, {})
        keys = sorted(named)
        for start in range(0, len(keys), _SOME):
            for key, words in describe(session, keys[start : start + _SOME]):
                if words and key in named:
                    found[named[key]] = words
    return found


def _runs(session: Session, ids: list[str]) -> list[tuple[str, str]]:
    foreign = select(LineageEventRow.run, LineageEventRow.job, LineageEventRow.state).where(
        col(LineageEventRow.run).in_(ids)
    )
    rows = select(RunRow.id, RunRow.kind, RunRow.name, RunRow.status).where(col(RunRow.id).in_(ids))
    return [
        *((run, f"{job} ({state.lower()})") for run, job, state in session.exec(foreign.order_by(LineageEventRow.id))),  # type: ignore[arg-type]
        *((id_, f"{kind} {name} ({status})") for id_, kind, name, status in session.exec(rows)),
    ]


def _models(session: Session, keys: list[str]) -> list[tuple[str, str]]:
    names = {key.rpartition("@")[0] for key in keys}
    found: dict[str, list[str]] = {}
    for row in session.exec(select(AliasRow).where(col(AliasRow.model).in_(names)).order_by(col(AliasRow.alias))):
        found.setdefault(f"{row.model}@{row.version}", []).append(row.alias)
    return [(key, ", ".join(aliases)) for key, aliases in found.items()]


def _tables(session: Session, keys: list[str]) -> list[tuple[str, str]]:
    names = {key.rpartition("@")[0] for key in keys}
    versions = {int(version) for key in keys if (version := key.rpartition("@")[2]).isdecimal() and len(version) < 19}
    query = select(TableVersionRow.name, TableVersionRow.version, TableVersionRow.rows, TableVersionRow.operation)
    rows = query.where(col(TableVersionRow.name).in_(names), col(TableVersionRow.version).in_(versions))
    return [
        (f"{name}@{version}", operation if count is None else f"{count:,} rows, {operation}")
        for name, version, count, operation in session.exec(rows)
    ]


def _reports(session: Session, ids: list[str]) -> list[tuple[str, str]]:
    query = select(DriftReportRow.id, DriftReportRow.endpoint, DriftReportRow.share)
    rows = session.exec(query.where(col(DriftReportRow.id).in_(ids)))
    return [
        (id_, f"drift of {endpoint}" + ("" if share is None or share != share else f": {share:.0%} of columns"))
        for id_, endpoint, share in rows
    ]
