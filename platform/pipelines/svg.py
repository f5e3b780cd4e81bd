"""Pipelines and runs as SVG: a layered drawing, and a Gantt chart of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from .layout import layered
from .mermaid import FILLS, label
from .records import PipelineRun, StepRun

CHARACTER, LINE, PADDING, GAP_X, GAP_Y = 7.4, 15.0, 9.0, 46.0, 16.0
FONT = 'font-family="ui-sans-serif,system-ui,Helvetica,Arial,sans-serif" font-size="12"'
STROKES = {"failed": "#c92a2a", "running": "#1971c2", "retrying": "#e67700", "finished": "#2b8a3e"}
GANTT_ROW, GANTT_WIDTH, GANTT_MOST = 20.0, 620.0, 300


def graph_svg(graph: Sequence[Mapping[str, Any]], steps: Mapping[str, StepRun] | None = None) -> str:
    """The graph as an SVG document; with `steps`, coloured by state, with timing and tables and models.

    Example:
        >>> graph_svg([{"key": "a", "upstream": []}]).startswith("<svg ")
        True
    """
    labels = {node["key"]: label(node, steps) for node in graph}
    boxes, size = _boxes(layered(graph), labels)
    parts = [
        '<defs><marker id="raylake-arrow" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#868e96"/></marker></defs>'
    ]
    for node in graph:
        for source in node["upstream"]:
            parts.append(_edge(boxes[source], boxes[node["key"]], dashed=source in node.get("conditional", ())))
    for key, lines in labels.items():
        state = "waiting" if steps is None else (steps[key].state if key in steps else "waiting")
        parts.append(_box(boxes[key], lines, state, hint=steps[key].error if steps and key in steps else ""))
    return _document(size, parts)


def gantt_svg(run: PipelineRun, now: datetime | None = None) -> str:
    """When each step of a run ran, as an SVG document; at most 300 rows.

    Example:
        >>> from raylake.pipelines.records import PipelineRun
        >>> at = datetime(2026, 1, 1, tzinfo=UTC)
        >>> run = PipelineRun("ab", "daily", 1, "queued", {}, "", None, "default", 0, "", "", at, None, None)
        >>> "nothing has run yet" in gantt_svg(run)
        True
    """
    bars = [step for step in run.steps if step.started_at is not None and step.width is None][:GANTT_MOST]
    if not bars:
        return _document((240.0, 30.0), [_text(PADDING, 20.0, "nothing has run yet")])
    moment = now or run.ended_at or datetime.now(UTC)
    begin = min(step.started_at for step in bars if step.started_at)
    end = max([moment if step.ended_at is None else step.ended_at for step in bars])
    seconds = max((end - begin).total_seconds(), 0.001)
    left = max(len(step.key) for step in bars) * CHARACTER + 2 * PADDING
    parts = _axis(left, seconds, len(bars))
    for index, step in enumerate(bars):
        assert step.started_at is not None
        start = (step.started_at - begin).total_seconds()
        length = ((step.ended_at or moment) - step.started_at).total_seconds()
        y = 24 + index * GANTT_ROW
        x, width = left + start / seconds * GANTT_WIDTH, max(2.0, length / seconds * GANTT_WIDTH)
        told = f"{step.key}: {step.state}, {length:.2f} s"
        parts.append(_text(PADDING, y + 13, step.key))
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 2:.1f}" width="{width:.1f}" height="{GANTT_ROW - 5:.1f}" rx="3" '
            f'fill="{FILLS[step.state]}" stroke="{STROKES.get(step.state, "#495057")}">'
            f"<title>{escape(told)}</title></rect>"
        )
        # The figure stands beside its bar, or before the bar where there is no room behind it.
        inside = x + width + 60 <= left + GANTT_WIDTH + 70
        parts.append(_text(x + width + 5 if inside else x - 46, y + 13, f"{length:.2f} s", fill="#495057"))
    return _document((left + GANTT_WIDTH + 80, 32 + len(bars) * GANTT_ROW), parts)


def _boxes(
    places: Mapping[str, tuple[int, int]], labels: Mapping[str, list[str]]
) -> tuple[dict[str, tuple[float, float, float, float]], tuple[float, float]]:
    """Key to (x, y, width, height), each layer centred, and the size of the drawing."""
    layers: dict[int, list[str]] = {}
    for key, (depth, _) in sorted(places.items(), key=lambda entry: entry[1]):
        layers.setdefault(depth, []).append(key)
    height = {key: len(lines) * LINE + 2 * PADDING for key, lines in labels.items()}
    tall = {depth: sum(height[key] + GAP_Y for key in keys) - GAP_Y for depth, keys in layers.items()}
    highest = max(tall.values(), default=0.0)
    boxes, x = {}, PADDING
    for depth, keys in sorted(layers.items()):
        width = max(max(len(line) for line in labels[key]) for key in keys) * CHARACTER + 2 * PADDING
        y = PADDING + (highest - tall[depth]) / 2
        for key in keys:
            boxes[key] = (x, y, width, height[key])
            y += height[key] + GAP_Y
        x += width + GAP_X
    return boxes, (max(x - GAP_X + PADDING, 40.0), highest + 2 * PADDING)


def _edge(source: tuple[float, float, float, float], target: tuple[float, float, float, float], *, dashed: bool) -> str:
    x1, y1 = source[0] + source[2], source[1] + source[3] / 2
    x2, y2 = target[0], target[1] + target[3] / 2
    bend = max((x2 - x1) / 2, 20.0)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2 - 1:.1f},{y2:.1f}" '
        f'fill="none" stroke="#868e96" stroke-width="1.3"{dash} marker-end="url(#raylake-arrow)"/>'
    )


def _box(box: tuple[float, float, float, float], lines: Sequence[str], state: str, hint: str) -> str:
    x, y, width, height = box
    stroke = STROKES.get(state, "#868e96")
    texts = [
        _text(x + PADDING, y + PADDING + 11 + n * LINE, line, bold=n == 0, fill="#212529" if n < 2 else "#495057")
        for n, line in enumerate(lines)
    ]
    title = f"<title>{escape(hint)}</title>" if hint else ""
    return (
        f'<g>{title}<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" '
        f'fill="{FILLS[state]}" stroke="{stroke}"/>{"".join(texts)}</g>'
    )


def _axis(left: float, seconds: float, rows: int) -> list[str]:
    parts = []
    for tick in range(5):
        x = left + tick / 4 * GANTT_WIDTH
        parts.append(f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{26 + rows * GANTT_ROW:.1f}" stroke="#e9ecef"/>')
        parts.append(_text(x - 10, 14, f"{seconds * tick / 4:.3g} s", fill="#868e96"))
    return parts


def _text(x: float, y: float, content: str, *, bold: bool = False, fill: str = "#212529") -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{weight}>{escape(content)}</text>'


def _document(size: tuple[float, float], parts: Sequence[str]) -> str:
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {FONT}>{"".join(parts)}</svg>'
    )
