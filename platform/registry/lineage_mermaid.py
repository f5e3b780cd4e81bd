"""The lineage graph as Mermaid text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..core import Node
from .records import Edge, stands_for

# Mermaid reads HTML and Markdown inside labels: whatever is not plain becomes an entity of its own syntax.
_SPECIAL = re.compile(r"[^\w .,:/+=@%()-]")


def mermaid(nodes: Sequence[Node], edges: Sequence[Edge], labels: Mapping[Node, str], start: Node) -> str:
    """A flow chart, left to right; `start` has a thick border.

    Example:
        >>> print(mermaid([Node("table", "main.a<b")], [], {}, Node("table", "main.a<b")))
        flowchart LR
          n0["table<br/>main.a#60;b"]
          style n0 stroke-width:3px
    """
    names = {node: f"n{index}" for index, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node, name in names.items():
        label = labels.get(node, "")
        lines.append(
            f'  {name}["{_escaped(node.kind)}<br/>{_titled(node)}{"<br/>" if label else ""}{_escaped(label)}"]'
        )
    lines += [f"  {names[edge.source]} --> {names[edge.target]}" for edge in edges]
    lines += [f"  style {name} stroke-width:3px" for node, name in names.items() if stands_for(start, node)]
    return "\n".join(lines)


def _titled(node: Node) -> str:
    return _escaped(f"{node.name} @ {node.version}" if node.version else node.name)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)
