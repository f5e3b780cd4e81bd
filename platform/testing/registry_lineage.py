"""The registry's contract: the lineage graph, against a walk by brute force."""

# ruff: noqa: D102 -- the name of a test is its sentence
from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import registry
from ..core import DataError, Node, Workspace
from ..registry import ColumnEdge, Edge, lineage_store
from .registry_steps import PROPERTY, together


def walk_by_hand(edges: Iterable[Edge], start: Node, depth: int | None, *, up: bool) -> set[Edge]:
    """The oracle of the lineage walk: breadth first, edge by edge."""
    everything, reached, found = set(edges), {start}, set[Edge]()
    level = 0
    while depth is None or level < depth:
        new = {
            edge
            for edge in everything - found
            if any(same_thing(edge.target if up else edge.source, node) for node in reached)
        }
        if not new:
            break
        found |= new
        reached |= {edge.source if up else edge.target for edge in new}
        level += 1
    return found


def columns_by_hand(edges: Iterable[ColumnEdge], node: Node, column: str, *, up: bool) -> set[ColumnEdge]:
    """The oracle of the walk over columns."""
    everything, reached, found = set(edges), {(node, column)}, set[ColumnEdge]()
    while True:
        new = {
            edge
            for edge in everything - found
            for near, name in [(edge.target, edge.target_column) if up else (edge.source, edge.source_column)]
            if any(name == wanted and same_thing(near, one) for one, wanted in reached)
        }
        if not new:
            return found
        found |= new
        reached |= {(e.source, e.source_column) if up else (e.target, e.target_column) for e in new}


def same_thing(one: Node, other: Node) -> bool:
    """Whether two nodes match: equal, or one of them without a version."""
    versions = one.version == other.version or not one.version or not other.version
    return (one.kind, one.name) == (other.kind, other.name) and versions


COLUMN = st.sampled_from(["x", "y"])


class LineageContract:
    """The lineage graph."""

    def test_both_ways_and_to_a_depth(self, ws: Workspace) -> None:
        chain = [Node("table", "main.raw", "1"), Node("run", "r"), Node("model", "m", "1"), Node("endpoint", "e")]
        edges = [Edge(one, two) for one, two in pairwise(chain)]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        assert registry.downstream(ws, chain[0]) == edges == registry.upstream(ws, str(chain[-1]))
        assert registry.downstream(ws, chain[0], depth=2) == edges[:2]
        assert registry.upstream(ws, chain[-1], depth=1) == edges[2:]
        assert registry.upstream(ws, chain[-1], depth=0) == [] == registry.upstream(ws, chain[0])
        assert registry.downstream(ws, chain[0], depth=2**80) == edges
        with pytest.raises(DataError, match="depth -1"):
            registry.upstream(ws, chain[0], depth=-1)

    def test_a_maker_stands_between_and_edges_are_idempotent(self, ws: Workspace) -> None:
        inputs, outputs, by = [Node("table", "main.a"), Node("table", "main.b")], [Node("view", "v")], Node("run", "r")
        for _ in range(2):
            registry.add_lineage(ws, inputs, outputs, by=by)
        assert registry.upstream(ws, "view:v") == [Edge(inputs[0], by), Edge(inputs[1], by), Edge(by, outputs[0])]
        registry.add_lineage(ws, inputs, [])
        assert len(registry.upstream(ws, "view:v")) == 3

    def test_without_a_version_means_all_versions(self, ws: Workspace) -> None:
        one, two, every = (Node("table", "main.raw", version) for version in ("1", "2", ""))
        targets = [Node("model", "m", str(n)) for n in range(3)]
        edges = [Edge(source, target) for source, target in zip((one, two, every), targets, strict=True)]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        assert registry.downstream(ws, every) == edges
        assert registry.downstream(ws, one) == [edges[0], edges[2]]
        assert registry.downstream(ws, "table:main.raw@9") == [edges[2]]
        assert registry.downstream(ws, "table:main.ra") == []
        assert registry.upstream(ws, "model:m") == edges

    def test_a_cycle_ends(self, ws: Workspace) -> None:
        a, b = Node("table", "main.a", "1"), Node("table", "main.b", "1")
        registry.add_lineage(ws, [a], [b])
        registry.add_lineage(ws, [b], [a, b])
        assert len(registry.downstream(ws, a)) == 3 == len(registry.upstream(ws, a, depth=10**6))

    def test_many_edges_in_one_call(self, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lineage_store, "BATCH", 7)  # several batches, the same nodes in many of them
        nodes = [Node("table", f"main.t{n % 5}", str(n // 5)) for n in range(40)]
        edges = [Edge(one, two) for one, two in pairwise(nodes)]
        for _ in range(2):
            registry.add_edges(ws, iter(edges))
        found = registry.downstream(ws, nodes[0])
        assert set(found) == set(edges) and len(found) == len(edges)
        registry.add_edges(ws, [])

    def test_many_edges_are_one_transaction(self, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lineage_store, "BATCH", 1)

        def broken() -> Iterator[Edge]:
            yield Edge(Node("table", "main.a"), Node("table", "main.b"))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            registry.add_edges(ws, broken())
        assert registry.downstream(ws, "table:main.a") == []

    def test_columns_both_ways(self, ws: Workspace) -> None:
        raw, view, training = (Node("table", name, "1") for name in ("main.f", "features.v", "training.t"))
        registry.add_column_lineage(ws, raw, view, {"late": ["delay", "origin"]}, how="mean over 3h")
        registry.add_column_lineage(ws, view, training, {"late": "late", "other": "distance"})
        first = [ColumnEdge(raw, column, view, "late", "mean over 3h") for column in ("delay", "origin")]
        last = ColumnEdge(view, "late", training, "late")
        assert registry.upstream_columns(ws, training, "late") == [*first, last]
        assert registry.upstream_columns(ws, str(training), "late", depth=1) == [last]
        assert registry.downstream_columns(ws, "table:main.f", "delay") == [first[0], last]
        assert registry.downstream_columns(ws, raw, "distance") == []
        registry.add_column_lineage(ws, view, training, {"late": "late"})
        assert len(registry.upstream_columns(ws, training, "late")) == 3

    def test_text_that_a_database_refuses(self, ws: Workspace) -> None:
        odd = Node("table", "main.a\0b\ud800'\"[]{}$", "1;--")
        registry.add_edges(ws, [Edge(odd, Node("model", "m"))])
        (edge,) = registry.upstream(ws, "model:m")
        assert edge.source.name == "main.a\ufffdb\ufffd'\"[]{}$"
        assert registry.downstream(ws, odd) == [edge]

    def test_edges_added_at_once(self, ws: Workspace) -> None:
        nodes = [Node("table", f"main.t{n}") for n in range(8)]
        registry.add_lineage(ws, nodes, [Node("run", "known")])  # so that only the edges are new
        orders = [nodes, nodes[::-1], nodes[4:] + nodes[:4], nodes[::2] + nodes[1::2]]
        together([lambda o=order: registry.add_lineage(ws, o, o[::-1]) for order in orders])  # type: ignore[misc]
        assert len(registry.downstream(ws, nodes[0])) == 72

    @PROPERTY
    @given(
        pairs=st.lists(st.tuples(*[st.tuples(st.integers(0, 4), st.sampled_from(["", "1", "2"]))] * 2), max_size=14),
        start=st.tuples(st.integers(0, 4), st.sampled_from(["", "1", "2"])),
        depth=st.one_of(st.none(), st.integers(0, 6)),
        up=st.booleans(),
    )
    def test_the_walk_equals_brute_force(
        self,
        ws: Workspace,
        pairs: list[tuple[tuple[int, str], tuple[int, str]]],
        start: tuple[int, str],
        depth: int | None,
        up: bool,
    ) -> None:
        prefix = uuid4().hex
        edges = [Edge(*(Node("table", f"{prefix}.{name}", version) for name, version in pair)) for pair in pairs]
        for edge in edges:
            registry.add_lineage(ws, [edge.source], [edge.target])
        begin = Node("table", f"{prefix}.{start[0]}", start[1])
        found = (registry.upstream if up else registry.downstream)(ws, begin, depth=depth)
        assert len(found) == len(set(found))
        assert set(found) == walk_by_hand(edges, begin, depth, up=up)

    @PROPERTY
    @given(
        edges=st.lists(st.tuples(*[st.tuples(st.integers(0, 3), st.sampled_from(["", "1"]), COLUMN)] * 2), max_size=10),
        start=st.tuples(st.integers(0, 3), st.sampled_from(["", "1"]), COLUMN),
        up=st.booleans(),
    )
    def test_the_walk_over_columns_equals_brute_force(
        self,
        ws: Workspace,
        edges: list[tuple[tuple[int, str, str], tuple[int, str, str]]],
        start: tuple[int, str, str],
        up: bool,
    ) -> None:
        prefix = uuid4().hex

        def node(name: int, version: str) -> Node:
            return Node("table", f"{prefix}.{name}", version)

        made = [ColumnEdge(node(*one[:2]), one[2], node(*other[:2]), other[2]) for one, other in edges]
        for edge in made:
            registry.add_column_lineage(ws, edge.source, edge.target, {edge.target_column: edge.source_column})
        walk = registry.upstream_columns if up else registry.downstream_columns
        found = walk(ws, node(*start[:2]), start[2])
        assert len(found) == len(set(found))
        assert set(found) == columns_by_hand(made, node(*start[:2]), start[2], up=up)
