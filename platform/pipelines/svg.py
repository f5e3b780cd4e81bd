"""Pipelines and runs as SVG: steps in layers, from left to right, or downwards when the pipeline is deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from ..registry.lineage_layout import Layout, layout
from .arrows import Arrow, arrows
from .mermaid import FILLS, label
from .records import StepRun

CHARACTER, LINE, PADDING, GAP_ALONG, GAP_ACROSS = 7.6, 15.0, 9.0, 42.0, 22.0
WIDEST = 1400.0  # a drawing that would be wider goes downwards
FONT = 'font-family="ui-sans-serif,system-ui,Helvetica,Arial,sans-serif" font-size="12"'
STROKES = {"failed": "#c92a2a", "running": "#1971c2", "retrying": "#e67700", "finished": "#2b8a3e"}


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Where layers and rows lie: `along` the layers, `across` them."""

    downwards: bool
    starts: Mapping[int, float]
    thick: Mapping[int, float]
    pitch: float

    def point(self, layer: int, row: float, share: float) -> tuple[float, float]:
        """A point of a row's middle line; `share` is 0 where its layer begins and 1 where it ends."""
        along = self.starts[layer] + share * self.thick[layer]
        across = PADDING + (row + 0.5) * self.pitch
        return (across, along) if self.downwards else (along, across)


def graph_svg(graph: Sequence[Mapping[str, Any]], steps: Mapping[str, StepRun] | None = None) -> str:
    """The graph as an SVG document; with `steps`, coloured by state, with timing and tables and models.

    Example:
        >>> graph_svg([{"key": "a", "upstream": []}]).startswith("<svg ")
        True
    """
    labels = {node["key"]: label(node, steps) for node in graph}
    sizes = {key: _size(lines) for key, lines in labels.items()}
    lines = arrows(graph)
    found = layout([*labels], [(line.source, line.target) for line in lines])
    canvas, size = _canvas(found, sizes)
    parts = [
        '<defs><marker id="raylake-arrow" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#868e96"/></marker></defs>'
    ]
    parts += [_edge(line, found, canvas, sizes) for line in lines]
    for key, words in labels.items():
        step = (steps or {}).get(key)
        corner = _corner(canvas, found.place[key], sizes[key])
        parts.append(_box((*corner, *sizes[key]), words, step.state if step else "waiting", step.error if step else ""))
    return document(size, parts)


def _size(lines: Sequence[str]) -> tuple[float, float]:
    return max(len(line) for line in lines) * CHARACTER + 2 * PADDING, len(lines) * LINE + 2 * PADDING


def _canvas(found: Layout, sizes: Mapping[str, tuple[float, float]]) -> tuple[_Canvas, tuple[float, float]]:
    """The canvas, and the size of the drawing."""
    rows = [row for _, row in found.place.values()] + [row for way in found.ways.values() for _, row in way]
    drawn = []
    for downwards in (False, True):
        thick: dict[int, float] = {}
        for key, (layer, _) in found.place.items():
            thick[layer] = max(thick.get(layer, 0.0), sizes[str(key)][downwards])
        starts, at = {}, PADDING
        for layer in sorted(thick):
            starts[layer] = at
            at += thick[layer] + GAP_ALONG * (0.8 if downwards else 1.0)
        pitch = max((size[not downwards] for size in sizes.values()), default=0.0) + GAP_ACROSS
        along = max(at - GAP_ALONG + PADDING + 10, 40.0)
        across = (max(rows, default=0.0) + 1) * pitch + 2 * PADDING
        canvas = _Canvas(downwards, starts, thick, pitch)
        drawn.append((canvas, (across, along) if downwards else (along, across)))
    lying, standing = drawn
    return standing if lying[1][0] > max(WIDEST, standing[1][0]) else lying


def _corner(canvas: _Canvas, place: tuple[int, float], size: tuple[float, float]) -> tuple[float, float]:
    """The upper left corner of a box: in the middle of its row, at the beginning of its layer."""
    x, y = canvas.point(*place, 0.0)
    return (x - size[0] / 2, y) if canvas.downwards else (x, y - size[1] / 2)


def _edge(line: Arrow, found: Layout, canvas: _Canvas, sizes: Mapping[str, tuple[float, float]]) -> str:
    """A smooth line from border to border that passes the layers between beside their boxes."""
    way = found.ways[line.source, line.target]
    (first, row), thick = way[0], sizes[line.source][canvas.downwards]
    points = [canvas.point(first, row, thick / canvas.thick[first])]
    for layer, row in way[1:-1]:
        points += [canvas.point(layer, row, 0.0), canvas.point(layer, row, 1.0)]
    points.append(canvas.point(*way[-1], 0.0))
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for index, (one, other) in enumerate(pairwise(points)):
        if index % 2:
            path += f" L{other[0]:.1f},{other[1]:.1f}"
        else:
            path += _bend(one, other, canvas.downwards)
    dash = ' stroke-dasharray="5 4"' if line.conditional else ""
    return f'<path d="{path}" fill="none" stroke="#868e96" stroke-width="1.3"{dash} marker-end="url(#raylake-arrow)"/>'


def _bend(one: tuple[float, float], other: tuple[float, float], downwards: bool) -> str:
    if downwards:
        middle = (one[1] + other[1]) / 2
        ends = f"{one[0]:.1f},{middle:.1f} {other[0]:.1f},{middle:.1f}"
    else:
        middle = (one[0] + other[0]) / 2
        ends = f"{middle:.1f},{one[1]:.1f} {middle:.1f},{other[1]:.1f}"
    return f" C{ends} {other[0]:.1f},{other[1]:.1f}"


def _box(box: tuple[float, float, float, float], lines: Sequence[str], state: str, hint: str) -> str:
    x, y, width, height = box
    stroke = STROKES.get(state, "#868e96")
    texts = [
        text(x + PADDING, y + PADDING + 11 + n * LINE, line, bold=n == 0, fill="#212529" if n < 2 else "#495057")
        for n, line in enumerate(lines)
    ]
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<g>{title}<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" '
        f'fill="{FILLS[state]}" stroke="{stroke}"/>{"".join(texts)}</g>'
    )


def text(x: float, y: float, content: str, *, bold: bool = False, fill: str = "#212529") -> str:
    """A text element; its content is escaped."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{weight}>{escape(content)}</text>'


def document(size: tuple[float, float], parts: Sequence[str]) -> str:
    """An SVG document of this size."""
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {FONT}>{"".join(parts)}</svg>'
    )
