"""Where things stand in the picture of a graph: layers from left to right, few crossings, smooth edges.

Sugiyama, Tagawa, Toda: Methods for visual understanding of hierarchical system structures (1981): break cycles, assign
layers by the longest way, put a point of a long edge into every layer it passes, order layers by the mean of the
neighbours, then pull every point towards its neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

Vertex: TypeAlias = Hashable
Link = tuple[Vertex, Vertex]
_SWEEPS = 12


class _Point(NamedTuple):
    """Where a long edge passes a layer."""

    source: Vertex
    target: Vertex
    level: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands, in units of rows (vertical) and layers (horizontal).

    Attributes:
        place: Vertex to (layer, row); rows may be fractions.
        ways: For every link the (layer, row) of its points, from source to target.
    """

    place: dict[Vertex, tuple[int, float]]
    ways: dict[Link, list[tuple[int, float]]]


def layout(vertices: Sequence[Vertex], links: Iterable[Link]) -> Layout:
    """Lay a directed graph out from left to right.

    Example:
        >>> found = layout("abc", [("a", "b"), ("b", "c"), ("a", "c")])
        >>> [found.place[vertex][0] for vertex in "abc"]
        [0, 1, 2]
        >>> len(found.ways["a", "c"])
        3
    """
    wanted = [link for link in dict.fromkeys(links) if link[0] != link[1]]
    forward = {link: link for link in wanted} | {link: link[::-1] for link in _backward(vertices, wanted)}
    layer = _layers(vertices, list(dict.fromkeys(forward.values())))
    chains = {link: _chain(one, other, layer) for link, (one, other) in forward.items()}
    levels: list[list[Vertex]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for vertex in vertices:
        levels[layer[vertex]].append(vertex)
    for chain in dict.fromkeys(map(tuple, chains.values())):
        for point in chain[1:-1]:
            assert isinstance(point, _Point)
            levels[point.level].append(point)
    before, after = _neighbours(chains.values())
    _order(levels, before, after)
    row = _rows(levels, before, after)
    level = {point: index for index, points in enumerate(levels) for point in points}
    ways = {
        link: [(level[point], row[point]) for point in (chain if forward[link] == link else chain[::-1])]
        for link, chain in chains.items()
    }
    return Layout({vertex: (level[vertex], row[vertex]) for vertex in vertices}, ways)


def _backward(vertices: Sequence[Vertex], links: Iterable[Link]) -> list[Link]:
    """Links that close a cycle, found by a depth-first walk without recursion."""
    after: dict[Vertex, list[Vertex]] = {vertex: [] for vertex in vertices}
    for one, other in links:
        after[one].append(other)
    state: dict[Vertex, int] = {}  # 1: on the way, 2: done
    found = []
    for root in vertices:
        stack = [] if root in state else [(root, iter(after[root]))]
        state.setdefault(root, 1)
        while stack:
            vertex, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[vertex] = 2
                stack.pop()
            elif state.get(step) == 1:
                found.append((vertex, step))
            elif step not in state:
                state[step] = 1
                stack.append((step, iter(after[step])))
    return found


def _layers(vertices: Sequence[Vertex], links: Sequence[Link]) -> dict[Vertex, int]:
    """The longest way that leads to each vertex; what leads nowhere near it moves right, next to what it is for."""
    after: dict[Vertex, list[Vertex]] = {vertex: [] for vertex in vertices}
    missing = dict.fromkeys(vertices, 0)
    for one, other in links:
        after[one].append(other)
        missing[other] += 1
    layer = dict.fromkeys(vertices, 0)
    ready = [vertex for vertex in vertices if not missing[vertex]]
    order = []
    while ready:
        vertex = ready.pop()
        order.append(vertex)
        for step in after[vertex]:
            layer[step] = max(layer[step], layer[vertex] + 1)
            missing[step] -= 1
            if not missing[step]:
                ready.append(step)
    targets = {other for _, other in links}
    for vertex in reversed(order):
        if vertex not in targets and after[vertex]:
            layer[vertex] = min(layer[step] for step in after[vertex]) - 1
    return layer


def _chain(one: Vertex, other: Vertex, layer: dict[Vertex, int]) -> list[Vertex]:
    return [one, *(_Point(one, other, level) for level in range(layer[one] + 1, layer[other])), other]


def _neighbours(chains: Iterable[list[Vertex]]) -> tuple[dict[Vertex, list[Vertex]], dict[Vertex, list[Vertex]]]:
    before: dict[Vertex, list[Vertex]] = {}
    after: dict[Vertex, list[Vertex]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            after.setdefault(one, []).append(other)
            before.setdefault(other, []).append(one)
    return before, after


def _order(levels: list[list[Vertex]], before: dict[Vertex, list[Vertex]], after: dict[Vertex, list[Vertex]]) -> None:
    """Sort each layer by the mean place of the neighbours, from left to right and back."""
    place = {point: index for points in levels for index, point in enumerate(points)}
    for sweep in range(_SWEEPS):
        right = sweep % 2 == 0
        near = before if right else after
        for level in levels if right else levels[::-1]:
            mean = {
                point: sum(place[other] for other in found) / len(found) if found else place[point]
                for point, found in ((point, near.get(point)) for point in level)
            }
            level.sort(key=mean.__getitem__)
            place.update((point, index) for index, point in enumerate(level))


def _rows(
    levels: list[list[Vertex]], before: dict[Vertex, list[Vertex]], after: dict[Vertex, list[Vertex]]
) -> dict[Vertex, float]:
    """Rows at least one apart within a layer (half for points of edges), each as near its neighbours as that allows."""
    row = {point: float(index) for points in levels for index, point in enumerate(points)}
    for sweep in range(_SWEEPS):
        for level in levels if sweep % 2 == 0 else levels[::-1]:
            wish = {}
            for point in level:
                near = [*before.get(point, ()), *after.get(point, ())]
                wish[point] = sum(row[other] for other in near) / len(near) if near else row[point]
            _place(level, wish, row)
    least = min(row.values(), default=0.0)
    return {point: value - least for point, value in row.items()}


def _place(level: list[Vertex], wish: dict[Vertex, float], row: dict[Vertex, float]) -> None:
    """The nearest rows to the wished ones (least squares) that keep order and distance: pool adjacent violators."""
    offset, total = {}, 0.0
    for index, point in enumerate(level):
        if index:
            slim = sum(isinstance(one, _Point) for one in (point, level[index - 1]))
            total += (1.0, 0.75, 0.4)[slim]
        offset[point] = total
    pools: list[tuple[float, int]] = []  # mean and size
    for point in level:
        mean, size = wish[point] - offset[point], 1
        while pools and pools[-1][0] > mean:
            last, count = pools.pop()
            mean, size = (last * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    values = [mean for mean, size in pools for _ in range(size)]
    for point, value in zip(level, values, strict=True):
        row[point] = value + offset[point]
