"""Pipelines and runs as Mermaid text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .arrows import arrows
from .records import StepRun

FILLS = {
    "waiting": "#f1f3f5",
    "running": "#d0ebff",
    "retrying": "#fff3bf",
    "finished": "#d3f9d8",
    "cached": "#c3fae8",
    "skipped": "#e9ecef",
    "failed": "#ffc9c9",
    "blocked": "#ffe8cc",
    "cancelled": "#dee2e6",
}


def graph_mermaid(graph: Sequence[Mapping[str, Any]], steps: Mapping[str, StepRun] | None = None) -> str:
    """The graph as a Mermaid flow chart; with `steps`, states as colours, timing, and what was read and written.

    Example:
        >>> print(graph_mermaid([{"key": "a", "upstream": []}, {"key": "b", "upstream": ["a"]}]))
        flowchart LR
            n0["a"]
            n1["b"]
            n0 --> n1
    """
    names = {node["key"]: f"n{index}" for index, node in enumerate(graph)}
    lines = ["flowchart LR"]
    for node in graph:
        lines.append(f'    {names[node["key"]]}["{"<br/>".join(_safe(line) for line in label(node, steps))}"]')
    for arrow in arrows(graph):
        line = "-.->|if|" if arrow.conditional else "-->"
        lines.append(f"    {names[arrow.source]} {line} {names[arrow.target]}")
    if steps:
        lines += _colours(graph, steps, names)
    return "\n".join(lines)


def label(node: Mapping[str, Any], steps: Mapping[str, StepRun] | None) -> list[str]:
    """The lines in a node's box."""
    step = (steps or {}).get(node["key"])
    width = step.width if step else None
    title = node["key"] + (f" x {width}" if width is not None else " x n" if node.get("over") else "")
    if steps is None:
        return [title]
    if step is None:
        return [title, "waiting"]
    spent = span(node["key"], steps)
    told = step.state + (f" {spent:.1f} s" if spent is not None else "")
    if step.attempt > 1:
        told += f", attempt {step.attempt}"
    every = _items(node["key"], steps)
    marks = []
    for verb, most, names in (
        ("reads", 2, [each for one in every for each in one.reads]),
        ("writes", 3, [each for one in every for each in one.writes]),
    ):
        distinct = list(dict.fromkeys(names))
        marks += [f"{verb} {short(each)}" for each in distinct[:most]]
        marks += [f"and {len(distinct) - most} more"] if len(distinct) > most else []
    return [title, told, *marks]


def span(key: str, steps: Mapping[str, StepRun]) -> float | None:
    """Seconds from the first start to the last end of a step or of all items of a mapped one."""
    every = _items(key, steps)
    starts = [each.started_at for each in every if each.started_at]
    ends = [each.ended_at for each in every if each.ended_at]
    return (max(ends) - min(starts)).total_seconds() if starts and len(ends) == len(every) else None


def _items(key: str, steps: Mapping[str, StepRun]) -> list[StepRun]:
    """The items of a mapped step, or the step itself."""
    own = steps[key]
    return [steps[f"{key}[{n}]"] for n in range(own.width) if f"{key}[{n}]" in steps] if own.width else [own]


def short(node: str) -> str:
    """A lineage node for a small box: ``table:main.flights@3`` as ``flights@3``.

    Example:
        >>> short("table:main.flights@3"), short("model:late@2")
        ('flights@3', 'model late@2')
    """
    kind, _, name = node.partition(":")
    return name.removeprefix("main.") if kind == "table" else f"{kind} {name}"


def _colours(graph: Sequence[Mapping[str, Any]], steps: Mapping[str, StepRun], names: Mapping[str, str]) -> list[str]:
    by_state: dict[str, list[str]] = {}
    for node in graph:
        step = steps.get(node["key"])
        by_state.setdefault(step.state if step else "waiting", []).append(names[node["key"]])
    lines = [f"    classDef {state} fill:{FILLS[state]},stroke:#495057,color:#212529" for state in by_state]
    return lines + [f"    class {','.join(members)} {state}" for state, members in by_state.items()]


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
