"""A run or pipeline inline in a notebook, and as pictures."""

from __future__ import annotations

from html import escape
from typing import Literal

from .gantt import gantt_svg
from .mermaid import graph_mermaid
from .records import PipelineRun
from .svg import graph_svg


def run_html(run: PipelineRun) -> str:
    """The run's graph with states, and its Gantt chart, as HTML."""
    spent = f" in {run.seconds:.1f} s" if run.seconds is not None else ""
    head = f"<b>{escape(run.pipeline)}</b> run {run.id[:8]}: <b>{run.state}</b>{spent}"
    error = f"<pre>{escape(run.error)}</pre>" if run.error else ""
    scroll = '<div style="overflow-x:auto">'
    return f"<div>{head}{error}{scroll}{draw(run)}</div>{scroll}{draw(run, 'gantt')}</div></div>"


def draw(run: PipelineRun, form: Literal["svg", "mermaid", "gantt"] = "svg") -> str:
    """A run as text: ``svg`` (graph with states), ``mermaid`` (the same) or ``gantt`` (SVG, when each step ran).

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> from raylake.core import Workspace
        >>> @pipelines.step
        ... def load() -> int:
        ...     return 1
        >>> @pipelines.pipeline
        ... def daily():
        ...     return load()
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> print(draw(pipelines.show(ws, pipelines.submit(ws, daily)), "mermaid").splitlines()[1])
            n0["load<br/>waiting"]
    """
    if form == "gantt":
        return gantt_svg(run)
    steps = {step.key: step for step in run.steps}
    return graph_svg(run.graph, steps) if form == "svg" else graph_mermaid(run.graph, steps)
