"""The wiring of a pipeline as a value: nodes in topological order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core import PipelineInvalid
from .bindings import Binding, Constant, FirstOf, FromParameter, FromStep, Gathered, described, leaves, sources

if TYPE_CHECKING:
    from .step import Step


@dataclass(frozen=True, slots=True)
class Condition:
    """A node runs only if `binding` turns out as `wanted`."""

    binding: Binding
    wanted: bool

    def __str__(self) -> str:
        return f"{'if' if self.wanted else 'unless'} {described(self.binding)}"


@dataclass(frozen=True)
class GraphNode:
    """One use of a step.

    Attributes:
        key: Its name in the pipeline, unique; nested ones contain ``/``.
        step: What runs.
        bindings: Input to where it comes from.
        over: The inputs that are mapped over.
        conditions: All must hold, else it is skipped.
        after: Keys of steps that it waits for without an input from them.
    """

    key: str
    step: Step
    bindings: Mapping[str, Binding]
    over: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    after: tuple[str, ...] = ()

    def upstream(self) -> set[str]:
        """Keys of all nodes that must be settled first."""
        found = set(self.after)
        for binding in (*self.bindings.values(), *(condition.binding for condition in self.conditions)):
            found |= sources(binding)
        return found

    def required(self) -> set[str]:
        """Those of `upstream` without which the node cannot run: all but the options of `either`."""
        found = set(self.after) | {s for condition in self.conditions for s in _firm(condition.binding)}
        for binding in self.bindings.values():
            found |= _firm(binding)
        return found

    def alternatives(self) -> list[FirstOf]:
        """The `either` inputs: at least one option of each must be there."""
        every = (*self.bindings.values(), *(condition.binding for condition in self.conditions))
        return [leaf for binding in every for leaf in leaves(binding) if isinstance(leaf, FirstOf)]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, and what the pipeline returns.

    Example:
        >>> from raylake import pipelines
        >>> @pipelines.step
        ... def load() -> int:
        ...     return 1
        >>> @pipelines.pipeline
        ... def daily():
        ...     return load()
        >>> daily.graph.keys
        ('load',)
    """

    nodes: tuple[GraphNode, ...]
    result: Binding

    @cached_property
    def by_key(self) -> dict[str, GraphNode]:
        """Key to node."""
        return {node.key: node for node in self.nodes}

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys in topological order."""
        return tuple(node.key for node in self.nodes)

    def __iter__(self) -> Iterator[GraphNode]:
        return iter(self.nodes)

    def __getitem__(self, key: str) -> GraphNode:
        try:
            return self.by_key[key]
        except KeyError:
            raise PipelineInvalid(f"there is no step {key!r}: the steps are {', '.join(self.keys)}") from None

    @cached_property
    def downstream(self) -> dict[str, set[str]]:
        """Key to the keys of the nodes that wait for it directly."""
        found: dict[str, set[str]] = {node.key: set() for node in self.nodes}
        for node in self.nodes:
            for source in node.upstream():
                found[source].add(node.key)
        return found

    def after(self, key: str) -> set[str]:
        """Keys of all nodes that depend on `key`, directly or not."""
        found: set[str] = set()
        todo = [key]
        while todo:
            for each in self.downstream[todo.pop()] - found:
                found.add(each)
                todo.append(each)
        return found


def ordered(nodes: Mapping[str, GraphNode], result: Binding) -> Graph:
    """The graph with its nodes in topological order.

    Raises:
        PipelineInvalid: The nodes form a cycle, or one waits for an unknown node; the message names it.
    """
    placed: dict[str, GraphNode] = {}
    path: list[str] = []

    def place(key: str) -> None:
        if key in placed:
            return
        if key in path:
            raise PipelineInvalid(f"the steps {' -> '.join((*path[path.index(key) :], key))} form a cycle")
        path.append(key)
        for source in sorted(nodes[key].upstream()):
            if source not in nodes:
                raise PipelineInvalid(f"step {key!r} waits for step {source!r}, which does not exist")
            place(source)
        path.pop()
        placed[key] = nodes[key]

    for key in nodes:
        place(key)
    return Graph(tuple(placed.values()), result)


def described_graph(graph: Graph) -> list[dict[str, Any]]:
    """The graph as JSON: what is stored of every version of a pipeline, compared, and drawn for past runs."""
    return [
        {
            "key": node.key,
            "step": node.step.name,
            "code": node.step.code.fingerprint,
            "inputs": {name: as_json(binding) for name, binding in node.bindings.items()},
            "over": list(node.over),
            "conditions": [[as_json(each.binding), each.wanted] for each in node.conditions],
            "after": list(node.after),
            "upstream": sorted(node.upstream()),
            "conditional": sorted({s for each in node.conditions for s in sources(each.binding)}),
            "options": {
                name: _plain(getattr(node.step.options, name))
                for name in type(node.step.options).__slots__
                if name != "environment"
            },
        }
        for node in graph
    ]


def fingerprint(description: Any) -> str:
    """SHA-256 of a description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()


def as_json(binding: Binding) -> Any:
    """A binding as JSON, for people and for comparison."""
    if isinstance(binding, FromStep):
        return {"step": binding.key, "path": list(binding.path)}
    if isinstance(binding, FromParameter):
        return {"parameter": binding.name, "path": list(binding.path)}
    if isinstance(binding, FirstOf):
        return {"either": [as_json(each) for each in binding.options]}
    if isinstance(binding, Gathered):
        return {binding.kind: [as_json(each) for each in binding.items], "names": [str(n) for n in binding.names]}
    return {"value": repr(binding.value)[:200]}


def _firm(binding: Binding) -> set[str]:
    return {leaf.key for leaf in leaves(binding) if isinstance(leaf, FromStep)}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def constants_only(binding: Binding) -> bool:
    """Whether `binding` is known when the pipeline is defined."""
    return isinstance(binding, Constant)
