"""Which arrows a drawing of a pipeline shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Arrow(NamedTuple):
    """From a step to one that waits for it; `conditional` when it decides whether that one runs."""

    source: str
    target: str
    conditional: bool


def arrows(graph: Sequence[Mapping[str, Any]]) -> list[Arrow]:
    """The arrows between steps without those that a longer way implies (the transitive reduction).

    Args:
        graph: Nodes with ``key`` and ``upstream``, in topological order.

    Example:
        >>> found = arrows([{"key": "a", "upstream": []}, {"key": "b", "upstream": ["a"]},
        ...                 {"key": "c", "upstream": ["a", "b"]}])
        >>> [f"{arrow.source}{arrow.target}" for arrow in found]
        ['ab', 'bc']
    """
    before: dict[str, frozenset[str]] = {}
    found = []
    for node in graph:
        direct = node["upstream"]
        implied = frozenset().union(*(before[source] for source in direct))
        before[node["key"]] = implied | frozenset(direct)
        found += [
            Arrow(source, node["key"], source in node.get("conditional", ()))
            for source in direct
            if source not in implied
        ]
    return found
