"""The definition of a pipeline while its function runs: every call of a step becomes a node."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core import PipelineInvalid, Workspace
from .bindings import Binding, Constant, FirstOf, FromStep, Output, bind, described, sources
from .compatibility import assignable, is_iterable, item_type, shown
from .context import StepContext
from .graph import Condition, GraphNode

if TYPE_CHECKING:
    from .step import Step

_ACTIVE: ContextVar[Trace | None] = ContextVar("raylake_pipeline_trace", default=None)


def active() -> Trace | None:
    """The trace of the pipeline that is being defined in this thread, or ``None``."""
    return _ACTIVE.get()


@dataclass
class Trace:
    """The nodes so far, in the order of calls, which is a topological order."""

    pipeline: str
    nodes: dict[str, GraphNode] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    prefix: str = ""
    inside: tuple[str, ...] = ()

    def add(
        self,
        step: Step,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        over: int = 0,
        mapped: tuple[str, ...] = (),
    ) -> Output:
        """Add a call of `step`; its first `over` inputs, or those named in `mapped`, are lists to be mapped over."""
        key = self._key(step)
        given = _arguments(step, key, args, kwargs)
        bindings = {name: bind(value) for name, value in given.items()}
        names = mapped or tuple(given)[:over]
        for name, value in given.items():
            _check_type(step, key, name, value, mapped=name in names)
        waits = {source for output in step.wait_for for source in sources(output.binding)}
        node = GraphNode(key, step, bindings, names, self.conditions, tuple(sorted(waits)))
        for source in node.upstream():
            if source not in self.nodes:
                raise PipelineInvalid(
                    f"step {key!r} uses the output of step {source!r}, which is no step of pipeline "
                    f"{self.pipeline!r}: call it inside the pipeline's function"
                )
        self.nodes[key] = node
        kind: Any = step.code.hints.get("return", Any)
        return Output(FromStep(key), types.GenericAlias(list, (kind,)) if names else kind)

    def _key(self, step: Step) -> str:
        wanted = self.prefix + (step.key or step.name)
        if wanted not in self.nodes:
            return wanted
        if step.key is not None:
            raise PipelineInvalid(f"two steps of pipeline {self.pipeline!r} are named {wanted!r}: rename one of them")
        return next(name for n in range(2, 10**9) if (name := f"{wanted}-{n}") not in self.nodes)

    @contextmanager
    def nested(self, name: str) -> Iterator[None]:
        """Nodes added inside get the prefix ``name/``."""
        if name in self.inside:
            raise PipelineInvalid(f"pipeline {name!r} contains itself: {' -> '.join((*self.inside, name))} is a cycle")
        before = (self.prefix, self.inside)
        prefix = f"{before[0]}{name}/"
        taken = {key for key in self.nodes if key.startswith(prefix)}
        if taken:
            prefix = next(
                p for n in range(2, 10**9) if not any(k.startswith(p := f"{before[0]}{name}-{n}/") for k in self.nodes)
            )
        self.prefix, self.inside = prefix, (*self.inside, name)
        try:
            yield
        finally:
            self.prefix, self.inside = before


@contextmanager
def tracing(pipeline: str) -> Iterator[Trace]:
    """Define `pipeline` inside the block."""
    trace = Trace(pipeline, inside=(pipeline,))
    token = _ACTIVE.set(trace)
    try:
        yield trace
    finally:
        _ACTIVE.reset(token)


@contextmanager
def when(condition: Any) -> Iterator[None]:
    """The steps called inside run only if `condition` turns out true; else they are skipped, and what needs them too.

    Raises:
        PipelineInvalid: Used outside of a pipeline's function, or the condition is no output.

    Example:
        >>> from raylake import pipelines
        >>> @pipelines.step
        ... def passes(auc: float) -> bool:
        ...     return auc > 0.7
        >>> @pipelines.step
        ... def deploy() -> str:
        ...     return "deployed"
        >>> @pipelines.pipeline
        ... def gate(auc: float = 0.8):
        ...     with pipelines.when(passes(auc)):
        ...         deploy()
        >>> [str(condition) for condition in gate.graph["deploy"].conditions]
        ["if the output of step 'passes'"]
    """
    with _condition(condition, wanted=True):
        yield


@contextmanager
def unless(condition: Any) -> Iterator[None]:
    """The steps called inside run only if `condition` turns out false; the opposite of `when`.

    Example: see `when`.

        >>> with unless(True):
        ...     pass
        Traceback (most recent call last):
        ...
        raylake.core.errors.PipelineInvalid: when() and unless() belong inside a pipeline's function
    """
    with _condition(condition, wanted=False):
        yield


def either(*outputs: Any) -> Output:
    """The first of `outputs` whose step was not skipped: joins the branches of `when` and `unless`.

    Raises:
        PipelineInvalid: Something is no output.

    Example:
        >>> either(Output(FromStep("a")), Output(FromStep("b"))).binding.options[0].key
        'a'
    """
    bound: list[Binding] = [bind(output) for output in outputs]
    if not bound or any(isinstance(each, Constant) for each in bound[:-1]):
        raise PipelineInvalid("either() takes outputs of steps; only the last may be a constant")
    kinds = {shown(output.kind): output.kind for output in outputs if isinstance(output, Output)}
    return Output(FirstOf(tuple(bound)), next(iter(kinds.values())) if len(kinds) == 1 else Any)


@contextmanager
def _condition(condition: Any, *, wanted: bool) -> Iterator[None]:
    trace = active()
    if trace is None:
        raise PipelineInvalid("when() and unless() belong inside a pipeline's function")
    if not isinstance(condition, Output):
        raise PipelineInvalid(
            f"condition {condition!r} is known already: use a plain if, or the output of a step or a parameter"
        )
    before = trace.conditions
    trace.conditions = (*before, Condition(condition.binding, wanted))
    try:
        yield
    finally:
        trace.conditions = before


def injected(step: Step) -> dict[str, type]:
    """Parameters of the step's function that are filled in when it runs."""
    return {
        name: kind
        for name, kind in step.code.hints.items()
        if name in step.code.signature.parameters and kind in (Workspace, StepContext)
    }


def _arguments(step: Step, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    own = injected(step)
    wanted = [p for p in step.code.signature.parameters.values() if p.name not in own]
    try:
        return dict(inspect.Signature(wanted).bind(*args, **kwargs).arguments)
    except TypeError as error:
        inputs = ", ".join(str(p) for p in wanted) or "none"
        raise PipelineInvalid(f"step {key!r}: {error}; its inputs are: {inputs}") from None


def _check_type(step: Step, key: str, name: str, value: Any, *, mapped: bool) -> None:
    wanted = step.code.hints.get(name, Any)
    given = value.kind if isinstance(value, Output) else type(value)
    if mapped and not is_iterable(given):
        raise PipelineInvalid(
            f"step {key!r} cannot be mapped over {described(bind(value))}, a {shown(given)}: give a list"
        )
    if mapped:
        given = item_type(given)
    if not assignable(given, wanted):
        raise PipelineInvalid(
            f"step {key!r} takes {name}: {shown(wanted)}, but {described(bind(value))} is {shown(given)}: "
            "convert it in a step, or correct the annotation"
        )
