"""Pipelines from YAML that names steps; errors carry the file's line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from ..core import PipelineInvalid, RaylakeError, check_name
from .bindings import Binding, Constant, FromParameter, FromStep, Gathered, Output, sources
from .graph import Condition, GraphNode, ordered
from .pipeline import REQUIRED, Parameter, Pipeline
from .step import Step
from .trace import Trace

KINDS: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, list, dict, date, datetime)},
    "any": Any,
}
_TOP = ("pipeline", "description", "import", "parameters", "steps", "result", "concurrency", "on_failure", "finaliser")
_STEP = ("step", "with", "map", "options", "when", "unless", "after")


class Located(dict[str, Any]):
    """A mapping of a YAML file that knows the lines of its keys."""

    line: int
    lines: Mapping[str, int]


def load_yaml(path: str | Path) -> Pipeline:
    """The pipeline that a YAML file describes.

    Keys: ``pipeline`` (name), ``import`` (modules whose steps may be named; ``module:step`` needs none),
    ``parameters`` (name to ``{type, default}``), ``steps`` (key to ``{step, with, map, when, unless, after,
    options}``), ``result``, ``concurrency``, ``on_failure``, ``finaliser``. ``$name`` is the output of a step or a
    parameter, ``$name.part`` a part of it, ``$$`` a dollar sign.

    Raises:
        PipelineInvalid: Something is wrong; the message begins with file and line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "p.yaml"
        >>> _ = file.write_text("pipeline: p" + chr(10) + "steps: {a: {step: load}}")
        >>> load_yaml(file)
        Traceback (most recent call last):
        ...
        raylake.core.errors.PipelineInvalid: .../p.yaml, line 2: step 'load' is not known; known steps: none. ...
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise PipelineInvalid(f"pipeline file {str(file)!r} cannot be read: {error.strerror}") from error
    return _Reader(str(file)).read(text)


class _Loader(yaml.SafeLoader):
    """Keeps lines, and refuses a key that stands twice."""


def _located(loader: _Loader, node: yaml.MappingNode) -> Located:
    found, lines = Located(), {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        line = key_node.start_mark.line + 1
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
        lines[key] = line
    found.line, found.lines = node.start_mark.line + 1, lines
    return found


_Loader.add_constructor("tag:yaml.org,2002:map", _located)


@dataclass
class _Reader:
    """One file on its way to a pipeline."""

    file: str
    known: dict[str, Step] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    mapped: set[str] = field(default_factory=set)

    def read(self, text: str) -> Pipeline:
        try:
            top = yaml.load(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise self._wrong(line, f"{error.problem}") from error
        if not isinstance(top, Located):
            raise self._wrong(1, "a pipeline file is a mapping with `pipeline` and `steps`")
        self._keys(top, _TOP, "a pipeline")
        for needed in ("pipeline", "steps"):
            if needed not in top:
                raise self._wrong(top.line, f"{needed!r} is missing")
        self._import(top)
        self._parameters(self._mapping(top, "parameters"))
        entries = self._mapping(top, "steps")
        for key in entries:
            self._declare(entries, key)
        nodes = {key: self._node(entries, key) for key in entries}
        with self._at(top.lines["steps"]):
            graph = ordered(nodes, self._binding(top.get("result"), top.lines.get("result", top.line)))
        with self._at(top.lines["pipeline"]):
            return Pipeline(
                check_name(top["pipeline"], "pipeline"),
                graph,
                tuple(self.parameters.values()),
                concurrency=top.get("concurrency"),
                on_failure=self._handler(top, "on_failure"),
                finaliser=self._handler(top, "finaliser"),
                description=top.get("description", ""),
            )

    def _import(self, top: Located) -> None:
        names = top.get("import", [])
        here = str(Path(self.file).absolute().parent)
        if here not in sys.path:
            sys.path.insert(0, here)
        for name in [names] if isinstance(names, str) else names:
            with self._at(top.lines["import"]):
                self.known.update({each.name: each for each in vars(_module(name)).values() if isinstance(each, Step)})

    def _parameters(self, entries: Located) -> None:
        for name in entries:
            entry, line = entries[name], entries.lines[name]
            if not isinstance(entry, Located):
                self.parameters[name] = Parameter(name, type(entry) if entry is not None else Any, entry)
                continue
            self._keys(entry, ("type", "default"), f"parameter {name!r}")
            kind = entry.get("type", "any")
            if kind not in KINDS:
                raise self._wrong(line, f"parameter {name!r} has type {kind!r}: use one of {', '.join(KINDS)}")
            made = Parameter(name, KINDS[kind], entry.get("default", REQUIRED))
            if not made.required:
                with self._at(line):
                    made = Parameter(name, made.kind, made.parse(made.default, "of the file"))
            self.parameters[name] = made

    def _declare(self, entries: Located, key: str) -> None:
        entry, line = entries[key], entries.lines[key]
        if not isinstance(entry, Located) or "step" not in entry:
            raise self._wrong(line, f"step {key!r} must be a mapping with `step: NAME`")
        self._keys(entry, _STEP, f"step {key!r}")
        with self._at(line):
            check_name(key, "step")
        found = self._step(entry["step"], entry.lines["step"])
        options = self._mapping(entry, "options")
        with self._at(entry.lines.get("options", line)):
            self.steps[key] = found.with_options(**options) if options else found
        if entry.get("map"):
            self.mapped.add(key)
        if key in self.parameters:
            raise self._wrong(line, f"{key!r} is a parameter and a step: rename one of them")

    def _node(self, entries: Located, key: str) -> GraphNode:
        entry, step = entries[key], self.steps[key]
        over, fixed = self._mapping(entry, "map"), self._mapping(entry, "with")
        given = {name: self._output(group[name], group.lines[name]) for group in (over, fixed) for name in group}
        with self._at(entries.lines[key]):
            checker = Trace("")
            checker.nodes = {each: _stand_in(each, found) for each, found in self.steps.items() if each != key}
            checker.add(step.named(key), (), given, mapped=tuple(over))
        conditions = tuple(
            Condition(self._binding(entry[word], entry.lines[word]), word == "when")
            for word in ("when", "unless")
            if word in entry
        )
        after = entry.get("after", [])
        waits = [
            self._reference(f"${name}", entry.lines["after"]) for name in ([after] if isinstance(after, str) else after)
        ]
        keys = tuple(sorted({source for binding in waits for source in sources(binding)}))
        return GraphNode(key, step, checker.nodes[key].bindings, tuple(over), conditions, keys)

    def _handler(self, top: Located, word: str) -> Step | None:
        return self._step(top[word], top.lines[word]) if word in top else None

    def _step(self, name: Any, line: int) -> Step:
        if isinstance(name, str) and ":" in name:
            module, _, attribute = name.partition(":")
            with self._at(line):
                found = getattr(_module(module), attribute, None)
            if isinstance(found, Step):
                return found
        elif name in self.known:
            return self.known[name]
        listed = ", ".join(sorted(self.known)) or "none"
        raise self._wrong(line, f"step {name!r} is not known; known steps: {listed}. Name its module under `import`")

    def _output(self, value: Any, line: int) -> Any:
        """The value for an argument: an `Output` where a reference stands."""
        binding = self._binding(value, line)
        if isinstance(binding, Constant):
            return binding.value
        kind: Any = Any
        if isinstance(binding, FromParameter) and not binding.path:
            kind = self.parameters[binding.name].kind
        if isinstance(binding, FromStep) and not binding.path:
            kind = self.steps[binding.key].code.hints.get("return", Any)
            kind = list[kind] if binding.key in self.mapped else kind
        return Output(binding, kind)

    def _binding(self, value: Any, line: int) -> Binding:
        if isinstance(value, str) and value.startswith("$$"):
            return Constant(value[1:])
        if isinstance(value, str) and value.startswith("$"):
            return self._reference(value, line)
        if isinstance(value, list | dict):
            items = tuple(self._binding(each, line) for each in (value.values() if isinstance(value, dict) else value))
            if any(not isinstance(each, Constant) for each in items):
                return Gathered("dict" if isinstance(value, dict) else "list", items, tuple(value))
            return Constant(dict(value) if isinstance(value, dict) else value)
        return Constant(value)

    def _reference(self, text: str, line: int) -> FromParameter | FromStep:
        name, *rest = text[1:].split(".")
        path = tuple(int(part) if part.isdecimal() else part for part in rest)
        if name in self.parameters:
            return FromParameter(name, path)
        if name in self.steps:
            return FromStep(name, path)
        known = ", ".join([*self.parameters, *self.steps])
        raise self._wrong(line, f"{text} names no step or parameter; there are: {known}")

    def _mapping(self, entry: Located, word: str) -> Located:
        found = entry.get(word)
        if found is None:
            found = Located()
            found.line, found.lines = entry.line, {}
        if not isinstance(found, Located):
            raise self._wrong(entry.lines[word], f"{word!r} must be a mapping, not {found!r}")
        return found

    def _keys(self, entry: Located, known: tuple[str, ...], what: str) -> None:
        for key in entry:
            if key not in known:
                raise self._wrong(entry.lines[key], f"{what} has no {key!r}: use {', '.join(known)}")

    @contextmanager
    def _at(self, line: int) -> Iterator[None]:
        try:
            yield
        except (RaylakeError, ImportError) as error:
            raise PipelineInvalid(f"{self.file}, line {line}: {error}") from error

    def _wrong(self, line: int, problem: str) -> PipelineInvalid:
        return PipelineInvalid(f"{self.file}, line {line}: {problem}")


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _stand_in(key: str, step: Step) -> GraphNode:
    """Stands for a step that may come later in the file, so that references to it are known."""
    return GraphNode(key, step, {})
