"""Lineage drawn: layout, SVG, Mermaid, notebook; what people wrote cannot run."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake import registry
from raylake.core import DataError, InvalidName, Node, Workspace
from raylake.registry import Edge, LineageGraph
from raylake.registry.lineage_graph import nearest
from raylake.registry.lineage_layout import layout

SVG = "{http://www.w3.org/2000/svg}"
NASTY = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'onload='alert(1)", "]]><svg onload=alert(1)>",
    "a\x00b\x1b[31m", "${x}`y`", "</style><script>", "click n0 href \"javascript:alert(1)\"",
]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_the_layout_of_any_graph(links: list[tuple[int, int]]) -> None:
    vertices = list(range(13))
    found = layout(vertices, links)
    assert set(found.place) == set(vertices)
    assert set(found.ways) == {link for link in links if link[0] != link[1]}
    for (one, other), way in found.ways.items():
        assert (way[0], way[-1]) == (found.place[one], found.place[other])
        steps = [after[0] - before[0] for before, after in pairwise(way)]
        assert set(steps) in ({1}, {-1})  # one layer at a time; back only where a cycle closes
    rows: dict[int, list[float]] = {}
    for layer, row in found.place.values():
        rows.setdefault(layer, []).append(row)
    for layer in rows.values():
        ordered = sorted(layer)
        assert all(after - before > 0.99 for before, after in pairwise(ordered))


def test_a_chain_is_a_straight_line_and_a_long_chain_is_no_problem() -> None:
    found = layout(range(3000), [(n, n + 1) for n in range(2999)])
    assert {row for _, row in found.place.values()} == {0.0}
    assert found.place[2999][0] == 2999


@pytest.mark.parametrize("text", NASTY)
def test_what_people_wrote_cannot_run(ws: Workspace, text: str) -> None:
    node, run = Node("file", text), registry.start_run(ws, "fit", text)
    registry.add_lineage(ws, [node], [run.node])
    graph = registry.lineage_graph(ws, run.node)
    tree = ElementTree.fromstring(graph.to_svg())
    known = {f"{SVG}{name}" for name in ("svg", "style", "defs", "marker", "path", "g", "title", "rect", "text")}
    assert {element.tag for element in tree.iter()} <= known
    assert not any(name.startswith("on") for element in tree.iter() for name in element.attrib)
    shown = "".join("".join(element.itertext()) for element in tree.iter(f"{SVG}title"))
    assert text.replace("\x00", "\ufffd").replace("\x1b", "\ufffd") in shown
    page = graph._repr_html_()
    assert not re.search(r"<(script|img)|<svg onload", page)
    mermaid = graph.to_mermaid()
    assert len(mermaid.splitlines()) == 5  # header, two nodes, an edge, the style of the start
    for line in mermaid.splitlines()[1:3]:
        (label,) = re.findall(r'\["(.*)"\]$', line)
        assert not re.search(r'["`<>\[\]{}$]', label.replace("<br/>", ""))


def test_a_year_of_files_is_one_box(ws: Workspace) -> None:
    table = Node("table", "main.flights", "1")
    registry.add_lineage(ws, [Node("file", f"raw/{day:03}.csv") for day in range(365)], [table])
    graph = registry.lineage_graph(ws, table, most=1000)
    texts = [element.text for element in ElementTree.fromstring(graph.to_svg()).iter(f"{SVG}text")]
    assert "365 files" in texts and len(texts) == 5
    assert len(graph.nodes) == 366


def test_only_the_nearest_are_kept_and_the_rest_is_counted(ws: Workspace) -> None:
    chain = [Node("table", f"main.t{n}", "1") for n in range(10)]
    registry.add_edges(ws, [Edge(one, two) for one, two in pairwise(chain)])
    graph = registry.lineage_graph(ws, chain[-1], most=3)
    assert [edge.source for edge in graph.edges] == chain[6:9]
    assert graph.hidden == 6 and "6 edges farther away" in graph._repr_html_()
    assert nearest(chain[0], list(graph.edges), 0) == []


def test_directions(ws: Workspace) -> None:
    a, b, c = (Node("table", f"main.{name}", "1") for name in "abc")
    registry.add_edges(ws, [Edge(a, b), Edge(b, c)])
    assert registry.lineage_graph(ws, b, direction="upstream").edges == (Edge(a, b),)
    assert registry.lineage_graph(ws, "table:main.b", direction="downstream").edges == (Edge(b, c),)
    assert len(registry.lineage_graph(ws, b)) == 2 == len(registry.lineage_graph(ws, a, depth=2))
    with pytest.raises(DataError, match="'sideways'"):
        registry.lineage_graph(ws, b, direction="sideways")  # type: ignore[arg-type]
    with pytest.raises(InvalidName):
        registry.lineage_graph(ws, "flights")


def test_nothing_is_known(ws: Workspace) -> None:
    graph = registry.lineage_graph(ws, "model:unknown")
    assert graph.nodes == (Node("model", "unknown"),)
    assert "unknown" in graph.to_svg() and "unknown" in graph._repr_html_()


def test_labels_say_what_the_registry_knows(ws: Workspace) -> None:
    table = registry.record_table(ws, "flights", 1, rows=1234, schema={}, operation="ingest")
    run = registry.start_run(ws, "train", "forest", inputs=[table.node])
    run = registry.finish_run(ws, run.id, artifact="0" * 64)
    model = registry.register(ws, run, name="delay", alias="champion")
    labels = registry.lineage_graph(ws, model.node).labels
    assert labels[table.node] == "1,234 rows, ingest"
    assert labels[run.node] == "train forest (finished)"
    assert labels[model.node] == "champion"


def test_a_graph_of_cycles_is_drawn() -> None:
    a, b = Node("table", "main.a", "1"), Node("table", "main.b", "1")
    picture = LineageGraph(a, (Edge(a, b), Edge(b, a), Edge(a, a))).to_svg()
    assert html.unescape(picture).count("main.a@1") >= 1
    ElementTree.fromstring(picture)
