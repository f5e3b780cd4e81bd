"""When each step of a run ran, as an SVG chart."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from .mermaid import FILLS
from .records import PipelineRun
from .svg import CHARACTER, PADDING, STROKES, document, text

GANTT_ROW, GANTT_WIDTH, GANTT_MOST = 20.0, 620.0, 300


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
        return document((240.0, 30.0), [text(PADDING, 20.0, "nothing has run yet")])
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
        parts.append(text(PADDING, y + 13, step.key))
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 2:.1f}" width="{width:.1f}" height="{GANTT_ROW - 5:.1f}" rx="3" '
            f'fill="{FILLS[step.state]}" stroke="{STROKES.get(step.state, "#495057")}">'
            f"<title>{escape(told)}</title></rect>"
        )
        # The figure stands beside its bar, or before the bar where there is no room behind it.
        inside = x + width + 60 <= left + GANTT_WIDTH + 70
        parts.append(text(x + width + 5 if inside else x - 46, y + 13, f"{length:.2f} s", fill="#495057"))
    return document((left + GANTT_WIDTH + 80, 32 + len(bars) * GANTT_ROW), parts)


def _axis(left: float, seconds: float, rows: int) -> list[str]:
    parts = []
    for tick in range(5):
        x = left + tick / 4 * GANTT_WIDTH
        parts.append(f'<line x1="{x:.1f}" y1="20" x2="{x:.1f}" y2="{26 + rows * GANTT_ROW:.1f}" stroke="#e9ecef"/>')
        parts.append(text(x - 10, 14, f"{seconds * tick / 4:.3g} s", fill="#868e96"))
    return parts
