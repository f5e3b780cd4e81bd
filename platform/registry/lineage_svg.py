"""The lineage graph as SVG: boxes in layers, coloured by kind; everything that people wrote is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..core import Node
from .lineage_layout import layout
from .records import Edge, stands_for
from .show import escape

# Kind to colour; well apart for people who see red and green alike (Okabe and Ito, 2008).
_COLOURS = {
    "file": "#7f8c8d",
    "dataset": "#7f8c8d",
    "table": "#0072b2",
    "view": "#56b4e9",
    "feature-set": "#56b4e9",
    "training-set": "#56b4e9",
    "recipe": "#56b4e9",
    "run": "#e69f00",
    "job": "#e69f00",
    "model": "#009e73",
    "endpoint": "#cc79a7",
    "prediction": "#cc79a7",
    "report": "#d55e00",
    "code": "#8e7cc3",
}
_OTHER = "#7f8c8d"
_HEIGHT, _ROW, _GAP, _MARGIN, _LETTER = 46, 62, 52, 12, 6.7
_LONGEST = 34
_TOGETHER = 4  # more nodes than this with the same neighbours are one box
_STYLE = (
    ".rl-lineage text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2933}"
    ".rl-lineage .k{font-size:9.5px;letter-spacing:.06em}.rl-lineage .n{font-size:12.5px;font-weight:600}"
    ".rl-lineage .s{font-size:10.5px;fill:#6b7783}.rl-lineage .e{fill:none;stroke:#9aa5b1;stroke-width:1.4}"
    ".rl-lineage .b{fill:#fff;stroke:#d5dbe1}.rl-lineage .o{stroke:#1f2933;stroke-width:2.2}"
)


@dataclass(frozen=True, slots=True)
class _Box:
    """What one box says."""

    kind: str
    name: str
    words: str
    title: str
    start: bool = False

    @property
    def width(self) -> float:
        longest = max(len(self.kind) * 1.0, len(self.name) * 1.17, len(self.words) * 0.88)
        return 30 + longest * _LETTER


def svg(nodes: Sequence[Node], edges: Sequence[Edge], labels: Mapping[Node, str], start: Node) -> str:
    """Draw a graph, left to right in the order of making; `start` has a thick border.

    Example:
        >>> raw, model = Node("table", "main.<script>", "3"), Node("model", "m", "1")
        >>> picture = svg([raw, model], [Edge(raw, model)], {}, model)
        >>> picture.count("<rect"), "<script" in picture
        (4, False)
    """
    groups = _together(nodes, edges, start)
    boxes = {members[0]: _box(members, labels, start) for members in groups}
    drawn = {node: members[0] for members in groups for node in members}
    links = list(dict.fromkeys((drawn[edge.source], drawn[edge.target]) for edge in edges))
    found = layout([*boxes], links)
    lefts, widths = _columns({node: (found.place[node][0], box.width) for node, box in boxes.items()})
    spots = {node: (lefts[layer], _MARGIN + row * _ROW) for node, (layer, row) in found.place.items()}
    lines = []
    for (one, other), way in found.ways.items():
        points = [(lefts[layer], _MARGIN + row * _ROW + _HEIGHT / 2, widths[layer]) for layer, row in way]
        begin = spots[one][0] + boxes[one].width  # type: ignore[index]
        lines.append(f'<path class="e" marker-end="url(#rl-arrow)" d="{_curve(points, begin, spots[other][0])}"/>')
    shapes = [_shape(box, *spots[node]) for node, box in boxes.items()]
    width = max(lefts[layer] + widths[layer] for layer in lefts) + _MARGIN
    rows = [row for _, row in found.place.values()] + [row for way in found.ways.values() for _, row in way]
    height = 2 * _MARGIN + max(rows) * _ROW + _HEIGHT
    return (
        f'<svg class="rl-lineage" xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(f"Lineage of {start}")}" '
        f'style="max-width:none;background:#fbfcfd;border-radius:8px"><style>{_STYLE}</style><defs><marker '
        'id="rl-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 .8 7 4 0 7.2z" fill="#9aa5b1"/></marker></defs>{"".join(lines)}{"".join(shapes)}</svg>'
    )


def _together(nodes: Sequence[Node], edges: Sequence[Edge], start: Node) -> list[list[Node]]:
    """Nodes of one kind with the same neighbours share a box when they are many: a year of files is one."""
    before: dict[Node, set[Node]] = {node: set() for node in nodes}
    after: dict[Node, set[Node]] = {node: set() for node in nodes}
    for edge in edges:
        before[edge.target].add(edge.source)
        after[edge.source].add(edge.target)
    alike: dict[object, list[Node]] = {}
    for node in nodes:
        alike.setdefault((node.kind, frozenset(before[node]), frozenset(after[node])), []).append(node)
    groups: list[list[Node]] = []
    for members in alike.values():
        groups += (
            [members]
            if len(members) > _TOGETHER and not stands_for(start, members[0])
            else [[node] for node in members]
        )
    return groups


def _box(members: list[Node], labels: Mapping[Node, str], start: Node) -> _Box:
    node, count = members[0], len(members)
    if count > 1:
        title = "\n".join(str(one) for one in members[:50]) + ("\n…" if count > 50 else "")
        return _Box(node.kind, f"{count:,} {node.kind}s", _shortened(f"{node.name.rpartition('/')[2]}, …"), title)
    words = labels.get(node, "")
    if node.kind == "run":  # its id says nothing to people
        kind, _, rest = words.partition(" ")
        return _Box(
            f"run · {kind}" if kind else "run", _shortened(rest or node.name), node.name[:8], str(node), node == start
        )
    name = node.name.removeprefix("main.") if node.kind == "table" else node.name
    if node.kind in ("file", "report"):
        name = name.rpartition("/")[2][:40] or name
    short = f"{_shortened(name)} @ {node.version[:12]}" if node.version else _shortened(name)
    return _Box(node.kind, short, _shortened(words), f"{node}\n{words}".strip(), stands_for(start, node))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 12]}…{text[-11:]}"


def _columns(boxes: Mapping[Node, tuple[int, float]]) -> tuple[dict[int, float], dict[int, float]]:
    """Left border and width of every layer."""
    widths: dict[int, float] = {}
    for layer, width in boxes.values():
        widths[layer] = max(widths.get(layer, 0.0), width)
    lefts, left = {}, float(_MARGIN)
    for layer in sorted(widths):
        lefts[layer] = left
        left += widths[layer] + _GAP
    return lefts, widths


def _curve(points: Sequence[tuple[float, float, float]], begin: float, end: float) -> str:
    """A smooth line from the right border of the first box to the left border of the last."""
    (_, y, _), (_, last, _) = points[0], points[-1]
    parts = [f"M{begin:.1f} {y:.1f}"]
    x = begin
    for left, height, width in points[1:-1]:
        parts.append(_bend(x, y, left, height))
        if width:
            parts.append(f"H{left + width:.1f}")
        x, y = left + width, height
    parts.append(_bend(x, y, end - 1, last))
    return "".join(parts)


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    middle = (x + to_x) / 2
    return f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _shape(box: _Box, x: float, y: float) -> str:
    colour = _COLOURS.get(box.kind.partition(" ")[0], _OTHER)
    border = "b o" if box.start else "b"
    middle = y + (27 if box.words else 30)
    words = f'<text class="s" x="{x + 14:.1f}" y="{y + 40:.1f}">{escape(box.words)}</text>' if box.words else ""
    return (
        f"<g><title>{escape(box.title)}</title>"
        f'<rect class="{border}" x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{_HEIGHT}" rx="7"/>'
        f'<rect x="{x + 4:.1f}" y="{y + 7:.1f}" width="4" height="{_HEIGHT - 14}" rx="2" fill="{colour}"/>'
        f'<text class="k" x="{x + 14:.1f}" y="{y + 13:.1f}" style="fill:{colour}">{escape(box.kind.upper())}</text>'
        f'<text class="n" x="{x + 14:.1f}" y="{middle:.1f}">{escape(box.name)}</text>{words}</g>'
    )
