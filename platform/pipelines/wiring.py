"""From bindings to values: what a task is given, with outputs by reference."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from ..core import PipelineInvalid, Workspace
from .bindings import Binding, Constant, FirstOf, FromParameter, FromStep, Gathered, described, part_of, sources
from .executor import Executor
from .graph import GraphNode
from .state import DONE, RunState, item
from .worker import Slot, Stored, load


@dataclass(frozen=True, slots=True)
class Handle:
    """An output: its digest, and a handle of the executor when this driver saw it made."""

    digest: str
    value: Any = None


@dataclass
class Wiring:
    """The outputs of a run so far, and how inputs are made of them."""

    ws: Workspace
    parameters: Mapping[str, Any]
    executor: Executor
    outputs: dict[str, Handle] = field(default_factory=dict)
    _lists: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    def inputs(self, state: RunState, node: GraphNode, index: int | None) -> tuple[dict[str, Any], list[Any]]:
        """The inputs of a task, and the handles that go along with them."""
        values: list[Any] = []
        found = {}
        for name, binding in node.bindings.items():
            if name in node.over and index is not None:
                found[name] = self._item(state, node.key, name, binding, index, values)
            else:
                found[name] = self._input(state, binding, values)
        return found, values

    def width(self, state: RunState, node: GraphNode) -> int:
        """The number of items of a mapped node.

        Raises:
            PipelineInvalid: An input is no list, or lists differ in length.
        """
        lengths = {name: self._length(state, node, name) for name in node.over}
        if len(set(lengths.values())) > 1:
            raise PipelineInvalid(f"step {node.key!r} is mapped over lists of different lengths: {lengths}")
        return next(iter(lengths.values()))

    def value(self, state: RunState, binding: Binding) -> Any:
        """The value of a binding in this process."""
        if isinstance(binding, Constant):
            return binding.value
        if isinstance(binding, FromParameter):
            return part_of(self.parameters[binding.name], binding.path, f"parameter {binding.name!r}")
        if isinstance(binding, FirstOf):
            return self.value(state, chosen(state, binding))
        if isinstance(binding, FromStep):
            if binding.key in state.widths:
                whole: Any = [self._fetched(name) for name in self._items(state, binding.key)]
            else:
                whole = self._fetched(binding.key)
            return part_of(whole, binding.path, f"step {binding.key!r}")
        items = [self.value(state, each) for each in binding.items]
        if binding.kind == "dict":
            return dict(zip(binding.names, items, strict=True))
        return tuple(items) if binding.kind == "tuple" else items

    def identity(self, state: RunState, node: GraphNode, index: int | None, *, exact: bool) -> dict[str, str]:
        """Input to what identifies its value: digests of outputs; constants as text, or `exact` as a hash."""
        found = {}
        for name, binding in node.bindings.items():
            if name in node.over and index is not None:
                found[name] = self._item_identity(state, node.key, name, binding, index, exact)
            else:
                found[name] = self._identity(state, binding, exact)
        return found

    def forget_handles(self) -> None:
        """Read outputs from the storage root from now on: the object store has lost some."""
        self.outputs = {task: Handle(handle.digest) for task, handle in self.outputs.items()}

    def _input(self, state: RunState, binding: Binding, values: list[Any]) -> Any:
        if isinstance(binding, Constant):
            return binding
        if isinstance(binding, FromParameter):
            return Constant(self.value(state, binding))
        if isinstance(binding, FirstOf):
            return self._input(state, chosen(state, binding), values)
        if isinstance(binding, FromStep):
            if binding.key not in state.widths:
                return self._output(binding.key, binding.path, values)
            if not binding.path:
                items = tuple(self._output(name, (), values) for name in self._items(state, binding.key))
                return Gathered("list", items)  # type: ignore[arg-type]
            index = int(binding.path[0])
            return self._output(self._items(state, binding.key)[index], binding.path[1:], values)
        inner = tuple(self._input(state, each, values) for each in binding.items)
        return Gathered(binding.kind, inner, binding.names)

    def _output(self, task: str, path: tuple[str | int, ...], values: list[Any]) -> Slot | Stored:
        handle = self.outputs[task]
        if handle.value is None:
            return Stored(handle.digest, path, f"step {task!r}")
        values.append(handle.value)
        return Slot(len(values) - 1, path, f"step {task!r}")

    def _item(self, state: RunState, key: str, name: str, binding: Binding, index: int, values: list[Any]) -> Any:
        if isinstance(binding, FromStep) and binding.key in state.widths and not binding.path:
            return self._output(item(binding.key, index), (), values)
        return Constant(self._list(state, key, name, binding)[index])

    def _length(self, state: RunState, node: GraphNode, name: str) -> int:
        binding = node.bindings[name]
        if isinstance(binding, FromStep) and binding.key in state.widths and not binding.path:
            return state.widths[binding.key]
        return len(self._list(state, node.key, name, binding))

    def _list(self, state: RunState, key: str, name: str, binding: Binding) -> list[Any]:
        if (key, name) not in self._lists:
            value = self.value(state, binding)
            if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
                raise PipelineInvalid(
                    f"step {key!r} is mapped over {described(binding)}, which is a {type(value).__name__}: give a list"
                )
            self._lists[key, name] = list(value)
        return self._lists[key, name]

    def _fetched(self, task: str) -> Any:
        handle = self.outputs[task]
        return load(self.ws, handle.digest) if handle.value is None else self.executor.fetch(handle.value)

    def _items(self, state: RunState, key: str) -> list[str]:
        return [item(key, index) for index in range(state.widths[key])]

    def _identity(self, state: RunState, binding: Binding, exact: bool) -> str:
        if isinstance(binding, FirstOf):
            return self._identity(state, chosen(state, binding), exact)
        if isinstance(binding, FromStep):
            path = "".join(f"[{part!r}]" for part in binding.path)
            if binding.key not in state.widths:
                return self.outputs[binding.key].digest + path
            digests = [self.outputs[name].digest for name in self._items(state, binding.key)]
            return f"{len(digests)} items {hashlib.sha256(' '.join(digests).encode()).hexdigest()}{path}"
        if isinstance(binding, Gathered):
            inner = [self._identity(state, each, exact) for each in binding.items]
            return f"{binding.kind}({', '.join(inner)})"
        return _constant(self.value(state, binding), exact)

    def _item_identity(self, state: RunState, key: str, name: str, binding: Binding, index: int, exact: bool) -> str:
        if isinstance(binding, FromStep) and binding.key in state.widths and not binding.path:
            return self.outputs[item(binding.key, index)].digest
        return _constant(self._list(state, key, name, binding)[index], exact)


def chosen(state: RunState, binding: FirstOf) -> Binding:
    """The first option whose steps are done."""
    for option in binding.options:
        if all(state.tasks[key].state in DONE for key in sources(option)):
            return option
    raise PipelineInvalid(f"{described(binding)}: none of them ran")


def _constant(value: Any, exact: bool) -> str:
    if exact:
        return hashlib.sha256(cloudpickle.dumps(value, protocol=5)).hexdigest()
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
