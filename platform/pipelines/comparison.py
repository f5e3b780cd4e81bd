"""What changed between two versions of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Workspace
from .pipeline import Pipeline
from .store import runs as store


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one version of a pipeline to another.

    Attributes:
        added: Keys of new steps.
        removed: Keys of steps that are gone.
        changed: Key of each other changed step to what changed: ``code``, ``inputs``, ``options``, ...
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        lines = [f"+ {key}" for key in self.added] + [f"- {key}" for key in self.removed]
        lines += [f"~ {key}: {'; '.join(what)}" for key, what in self.changed.items()]
        return "\n".join(lines) or "no difference"


def compare(ws: Workspace, before: Pipeline | tuple[str, int], after: Pipeline | tuple[str, int]) -> Difference:
    """Compare two pipelines, or recorded versions named as ``(name, number)``.

    Raises:
        NotFound: A version is not recorded.

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> @pipelines.step
        ... def load(n: int) -> int:
        ...     return n
        >>> @pipelines.pipeline
        ... def old():
        ...     load(1)
        >>> @pipelines.pipeline
        ... def new():
        ...     load.with_options(cpus=2)(load(2))
        >>> print(compare(Workspace.open(tempfile.mkdtemp()), old, new))
        + load-2
        ~ load: inputs: n 1 -> 2
    """
    return difference(_graph(ws, before), _graph(ws, after))


def difference(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Difference:
    """As `compare`, of two descriptions."""
    old, new = ({node["key"]: node for node in graph} for graph in (before, after))
    changed = {}
    for key in new:
        if key in old and (what := _changes(old[key], new[key])):
            changed[key] = tuple(what)
    added = tuple(key for key in new if key not in old)
    removed = tuple(key for key in old if key not in new)
    return Difference(added, removed, changed)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = [what for what in ("step", "code", "over", "conditions", "after") if old[what] != new[what]]
    for group in ("inputs", "options"):
        names = sorted({*old[group], *new[group]})
        moved = [
            f"{name} {_shown(old[group].get(name))} -> {_shown(new[group].get(name))}"
            for name in names
            if old[group].get(name) != new[group].get(name)
        ]
        if moved:
            found.append(f"{group}: " + ", ".join(moved))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        if "value" in value:
            return str(value["value"])
        if "step" in value or "parameter" in value:
            return str(value.get("step") or value.get("parameter")) + "".join(f"[{p!r}]" for p in value["path"])
    return str(value)


def _graph(ws: Workspace, which: Pipeline | tuple[str, int]) -> Sequence[Mapping[str, Any]]:
    return which.description_json if isinstance(which, Pipeline) else store.version_graph(ws, *which)
