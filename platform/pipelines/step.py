"""A step: a function with what it needs to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, overload

from ..core import InvalidName, PipelineInvalid, check_name
from .bindings import Output
from .code import Code
from .trace import active


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What a step needs, and what happens when it fails.

    Attributes:
        cpus: Logical CPUs that it holds while it runs; fractions are allowed.
        gpus: GPUs that it holds; fractions are allowed.
        memory: Bytes of memory that it reserves; 0 reserves none.
        resources: Ray's custom resources, name to amount.
        retries: How often it is run again after an error of its own.
        crash_retries: How often it is run again after its worker died (killed, out of memory, node lost).
        backoff: Seconds before the first repetition; doubled for each further one, at most `max_backoff`.
        max_backoff: Upper bound of that, seconds.
        timeout: Seconds that one attempt may take, or ``None``. Then `TimeoutError` is raised inside the step;
            five seconds later its worker is killed.
        environment: Ray's ``runtime_env``: ``env_vars``, ``pip``, ``working_dir``, ...
        cache: Whether an earlier result is taken when code, version and inputs are the same.
        version: Part of the cache's key: change it when something that the function calls has changed.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    crash_retries: int = 3
    backoff: float = 1.0
    max_backoff: float = 300.0
    timeout: float | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    cache: bool = False
    version: str = ""

    def __post_init__(self) -> None:
        for name in ("cpus", "gpus", "memory", "retries", "crash_retries", "backoff", "max_backoff"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
                raise PipelineInvalid(f"step option {name}={value!r} is not valid: give a number of 0 or more")
        if self.timeout is not None and not self.timeout > 0:
            raise PipelineInvalid(f"step option timeout={self.timeout!r} is not valid: give seconds above 0, or None")

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures.

        Example:
            >>> [StepOptions(backoff=2, max_backoff=5).delay(n) for n in (1, 2, 3)]
            [2, 4, 5]
        """
        factor: int = 1 << min(max(failures - 1, 0), 60)
        return min(self.backoff * factor, self.max_backoff)


@dataclass(frozen=True, eq=False)
class Step:
    """A function that pipelines can be wired from; made by `step`.

    Outside a pipeline's definition a call simply runs the function. Inside, it adds a node and returns an `Output`.

    Attributes:
        code: The function.
        name: Its name in diagrams and messages.
        options: What it needs.
        key: Name of its node; `name` unless set by `named`.
        wait_for: Outputs that must be there first although they are no input.
    """

    code: Code
    name: str
    options: StepOptions = field(default_factory=StepOptions)
    key: str | None = None
    wait_for: tuple[Output, ...] = ()

    def __post_init__(self) -> None:
        for name in ("__doc__", "__wrapped__"):  # so that help() and inspect.signature() tell of the function
            value = self.code.function if name == "__wrapped__" else self.code.function.__doc__
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Step, (self.code, self.name, self.options, self.key, self.wait_for))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function, or wire it when a pipeline is being defined."""
        trace = active()
        return self.code.function(*args, **kwargs) if trace is None else trace.add(self, args, kwargs)

    def map(self, *lists: Any, **fixed: Any) -> Any:
        """Run once for each item of the lists (in parallel, zipped when there are several); the output is a list.

        Args:
            lists: Lists or outputs that are lists, one for each leading parameter of the function.
            fixed: Inputs that every item gets.

        Raises:
            PipelineInvalid: Nothing to map over, or wrong inputs.
        """
        if not lists:
            raise PipelineInvalid(f"step {self.name!r}.map() has nothing to map over: name a list first")
        trace = active()
        if trace is not None:
            return trace.add(self, lists, fixed, over=len(lists))
        return [self.code.function(*items, **fixed) for items in zip(*lists, strict=True)]

    def with_options(self, **changes: Any) -> Step:
        """The same step with other options.

        Raises:
            PipelineInvalid: An option is unknown or has a wrong value.

        Example:
            >>> @step
            ... def work() -> int:
            ...     return 1
            >>> work.with_options(cpus=2).options.cpus
            2
        """
        return replace(self, options=_options(self.name, {**_as_dict(self.options), **changes}))

    def named(self, key: str) -> Step:
        """The same step under another name in the pipeline, so that it can be told from its other uses."""
        return replace(self, key=check_name(key, "step"))

    def after(self, *outputs: Output) -> Step:
        """The same step, started only when `outputs` are there."""
        for output in outputs:
            if not isinstance(output, Output):
                raise PipelineInvalid(
                    f"step {self.name!r}.after({output!r}) is not valid: name outputs of steps of the same pipeline"
                )
        return replace(self, wait_for=(*self.wait_for, *outputs))


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(*, name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Step]: ...


def step(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Make a step of a function. Options are the fields of `StepOptions`.

    Parameters annotated `Workspace` or `StepContext` are filled in when the step runs.

    Raises:
        PipelineInvalid: An option is unknown or has a wrong value, or the function takes ``*args`` or ``**kwargs``.
        InvalidName: The name breaks the rule.

    Example:
        >>> @step(cpus=2, retries=3, timeout=60)
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> double(4), double.options.retries
        (8, 3)
    """

    def decorate(plain: Callable[..., Any]) -> Step:
        if not callable(plain) or isinstance(plain, Step):
            raise PipelineInvalid(f"{plain!r} cannot become a step: decorate a function")
        called = name or step_name(plain)
        code = Code(plain)
        for parameter in code.signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise PipelineInvalid(f"step {called!r} takes {parameter}: name every input, or take a list or a dict")
        return Step(code, called, _options(called, options))

    return decorate if function is None else decorate(function)


def step_name(function: Callable[..., Any]) -> str:
    """The name of a step or pipeline: the function's, with dashes.

    Raises:
        InvalidName: The function has no name that fits.
    """
    called = getattr(function, "__name__", "").strip("_").lower().replace("_", "-")
    try:
        return check_name(called, "step")
    except InvalidName as error:
        raise InvalidName(f"{error}. Give it one: @step(name=...)") from None


def _as_dict(options: StepOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in StepOptions.__slots__}


def _options(called: str, given: Mapping[str, Any]) -> StepOptions:
    unknown = sorted(set(given) - set(StepOptions.__slots__))
    if unknown:
        raise PipelineInvalid(
            f"step {called!r} has no option {unknown[0]!r}: options are name, {', '.join(StepOptions.__slots__)}"
        )
    try:
        return StepOptions(**given)
    except PipelineInvalid as error:
        raise PipelineInvalid(f"step {called!r}: {error}") from None
