"""A pipeline: a function that wires steps, traced once when it is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from ..core import PipelineInvalid, check_name
from .bindings import FromParameter, Output, bind
from .code import Code
from .compatibility import assignable, shown
from .diagram import PipelineDrawing
from .graph import Graph, described_graph, fingerprint, ordered
from .notification import Notify
from .step import Step, step_name
from .trace import active, tracing

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """A value given when a run starts.

    Attributes:
        name: Its name.
        kind: Its type; ``Any`` accepts everything.
        default: Used when it is not given; `REQUIRED` when it must be.
    """

    name: str
    kind: Any = Any
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a run must give it."""
        return self.default is REQUIRED

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self.kind)
        except PydanticSchemaGenerationError:
            return TypeAdapter(self.kind, config=ConfigDict(arbitrary_types_allowed=True))

    def parse(self, value: Any, pipeline: str) -> Any:
        """`value` as the parameter's type; text such as ``"3"`` or ``"2026-01-31"`` is converted.

        Raises:
            PipelineInvalid: It does not fit.
        """
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise PipelineInvalid(
                f"parameter {self.name}={value!r} of pipeline {pipeline!r} is not valid: it takes {shown(self.kind)} "
                f"({error.errors()[0]['msg']})"
            ) from None

    def as_json(self, value: Any) -> Any:
        """`value` in the form in which the registry keeps it."""
        return self._adapter.dump_python(value, mode="json")


@dataclass(frozen=True, eq=False)
class Pipeline(PipelineDrawing):
    """A directed graph of steps with typed parameters; made by `pipeline`.

    Called inside another pipeline's function it is nested: its steps join the outer graph below ``name/``.

    Attributes:
        name: Its name.
        graph: The wiring.
        parameters: What a run may be given.
        code: The function that wires it, or ``None`` when it came from YAML or a notebook.
        concurrency: How many runs may be active at once; ``None`` for any number.
        on_failure: A step run when the run fails; its first parameter, if any, gets a `Failure`.
        finaliser: A step run at the end in any case, after `on_failure`.
        notify: Who is told about runs.
        description: The function's docstring.
    """

    name: str
    graph: Graph
    parameters: tuple[Parameter, ...] = ()
    code: Code | None = None
    concurrency: int | None = None
    on_failure: Step | None = None
    finaliser: Step | None = None
    notify: tuple[Notify, ...] = ()
    description: str = field(default="", repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.code is not None and self.code.home is not None:
            return (_imported, (self.code,))
        names = ("graph", "parameters", "code", "concurrency", "on_failure", "finaliser", "notify", "description")
        return (Pipeline, (self.name, *(getattr(self, name) for name in names)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nest this pipeline in the one that is being defined.

        Raises:
            PipelineInvalid: None is being defined, or the arguments do not fit.
        """
        trace = active()
        if trace is None or self.code is None:
            remedy = f"pipelines.run(ws, {self.name.replace('-', '_')}, ...)"
            raise PipelineInvalid(f"pipeline {self.name!r} is run with {remedy}; only steps are called directly")
        given = self._nested_arguments(args, kwargs)
        with trace.nested(self.name):
            return self.code.function(**given)

    @cached_property
    def description_json(self) -> list[dict[str, Any]]:
        """The graph as JSON."""
        return described_graph(self.graph)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the wiring, the steps' code and options, and the parameters."""
        parameters = [(p.name, shown(p.kind), repr(p.default)) for p in self.parameters]
        return fingerprint([self.description_json, parameters])

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters of a run, converted to their types.

        Raises:
            PipelineInvalid: One is unknown, missing or does not fit.

        Example:
            >>> @pipeline
            ... def daily(day: int = 3):
            ...     pass
            >>> daily.parse({"day": "4"})
            {'day': 4}
        """
        known = {parameter.name for parameter in self.parameters}
        listed = ", ".join(sorted(known)) or "none"
        for name in given:
            if name not in known:
                raise PipelineInvalid(f"pipeline {self.name!r} has no parameter {name!r}; it has: {listed}")
        found = {}
        for each in self.parameters:
            if each.name not in given and each.required:
                raise PipelineInvalid(
                    f"pipeline {self.name!r} needs parameter {each.name!r} ({shown(each.kind)}): give it a value"
                )
            found[each.name] = each.parse(given[each.name], self.name) if each.name in given else each.default
        return found

    def params_json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parsed parameters in the form in which the registry keeps them."""
        return {each.name: each.as_json(values[each.name]) for each in self.parameters}

    def with_options(self, **changes: Any) -> Pipeline:
        """The same pipeline with another `name`, `concurrency`, `on_failure`, `finaliser` or `notify`.

        Such a copy travels by value: its definition is stored with each run.
        """
        return replace(self, **{"code": None, **changes})

    def _nested_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        assert self.code is not None
        try:
            bound = self.code.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise PipelineInvalid(f"nested pipeline {self.name!r}: {error}") from None
        bound.apply_defaults()
        for each in self.parameters:
            value = bound.arguments[each.name]
            kind = value.kind if isinstance(value, Output) else type(value)
            if not assignable(kind, each.kind):
                raise PipelineInvalid(
                    f"nested pipeline {self.name!r} takes {each.name}: {shown(each.kind)}, not {shown(kind)}"
                )
        return dict(bound.arguments)


@overload
def pipeline(function: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(*, name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Pipeline]: ...


def pipeline(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Define a pipeline: run the function once with stand-ins, and keep the graph of the steps that it calls.

    Args:
        function: Wires steps by calling them. Its parameters, with types and defaults, are those of a run.
        name: The pipeline's name; the function's with dashes by default.
        options: `concurrency`, `on_failure`, `finaliser`, `notify` of `Pipeline`.

    Raises:
        PipelineInvalid: A cycle, a missing input, a wrong type; the message names the step.

    Example:
        >>> from raylake.pipelines import step
        >>> @step
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> @pipeline
        ... def numbers(start: int = 1):
        ...     return double(double(start))
        >>> numbers.graph.keys, numbers.parameters[0].default
        (('double', 'double-2'), 1)
    """

    def decorate(plain: Callable[..., Any]) -> Pipeline:
        code = Code(plain)
        called = check_name(name or step_name(plain), "pipeline")
        return _define(called, code, options)

    return decorate if function is None else decorate(function)


def _define(name: str, code: Code, options: Mapping[str, Any]) -> Pipeline:
    known = {"concurrency", "on_failure", "finaliser", "notify"}
    if unknown := sorted(set(options) - known):
        raise PipelineInvalid(f"pipeline {name!r} has no option {unknown[0]!r}: options are {', '.join(sorted(known))}")
    parameters = tuple(
        Parameter(each.name, code.hints.get(each.name, Any), each.default)
        for each in code.signature.parameters.values()
    )
    stand_ins = {each.name: Output(FromParameter(each.name), each.kind) for each in parameters}
    with tracing(name) as trace:
        result = bind(code.function(**stand_ins))
    settings = {**options, "notify": _tuple(options.get("notify", ()))}
    limit = settings.get("concurrency")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise PipelineInvalid(f"pipeline {name!r}: concurrency={limit!r} is not valid: give a number of 1 or more")
    return Pipeline(
        name,
        ordered(trace.nodes, result),
        parameters,
        code,
        **settings,
        description=inspect.getdoc(code.function) or "",
    )


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _imported(code: Code) -> Pipeline:
    """The pipeline of an importable function, as its module defines it now."""
    from .code import _attribute

    assert code.home is not None
    import sys

    found = _attribute(sys.modules[code.home[0]], code.home[1])
    if not isinstance(found, Pipeline):
        raise PipelineInvalid(f"{code.name} is no pipeline any more: restore it, or pass the pipeline itself")
    return found
