"""Where the nodes of a graph go in a drawing: layers from left to right, few crossings (Sugiyama's barycentres)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SWEEPS = 4


def layered(graph: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """Key of each node to (layer, row). A node's layer is one more than the last of those before it.

    Args:
        graph: Nodes with ``key`` and ``upstream``, in topological order.

    Example:
        >>> layered([{"key": "a", "upstream": []}, {"key": "b", "upstream": ["a"]}, {"key": "c", "upstream": ["a"]}])
        {'a': (0, 0), 'b': (1, 0), 'c': (1, 1)}
    """
    layer: dict[str, int] = {}
    for node in graph:
        layer[node["key"]] = 1 + max((layer[source] for source in node["upstream"]), default=-1)
    before = {node["key"]: list(node["upstream"]) for node in graph}
    after: dict[str, list[str]] = {key: [] for key in before}
    for key, upstream in before.items():
        for source in upstream:
            after[source].append(key)
    rows = [[key for key in layer if layer[key] == depth] for depth in range(max(layer.values(), default=-1) + 1)]
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        neighbours = before if forwards else after
        for row in rows if forwards else reversed(rows):
            place = {key: index for each in rows for index, key in enumerate(each)}
            row.sort(key=lambda key: _mean([place[n] for n in neighbours[key]], place[key]))
    return {key: (depth, index) for depth, row in enumerate(rows) for index, key in enumerate(row)}


def _mean(values: Sequence[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
