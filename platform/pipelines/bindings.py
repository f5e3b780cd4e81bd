"""Where an input of a step comes from: a constant, a parameter, another step's output, or several of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..core import PipelineInvalid

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known when the pipeline is defined."""

    value: Any


@dataclass(frozen=True, slots=True)
class FromParameter:
    """A parameter of the run, or a part of it."""

    name: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class FromStep:
    """The output of the step `key`, or a part of it. A mapped step's output is the list of its items' outputs."""

    key: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first of several outputs whose step ran and was not skipped."""

    options: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A list, tuple or dict with bindings in it; `names` are a dict's keys."""

    kind: str
    items: tuple[Binding, ...]
    names: tuple[Any, ...] = ()


Binding = Constant | FromParameter | FromStep | FirstOf | Gathered


@dataclass(frozen=True, eq=False)
class Output:
    """What a step or parameter will be: a stand-in while a pipeline is being defined.

    ``output["name"]`` or ``output[0]`` is a part of it. Its value is unknown, so it cannot be tested or iterated.

    Attributes:
        binding: Where the value comes from.
        kind: Its annotated type, ``Any`` when unknown.
    """

    binding: Binding
    kind: Any = Any

    def __getitem__(self, part: str | int) -> Output:
        if not isinstance(self.binding, FromStep | FromParameter):
            raise PipelineInvalid("either(...) has no parts: give its result to a step that takes it apart")
        return Output(type(self.binding)(*_identity(self.binding), (*self.binding.path, part)))

    def __bool__(self) -> NoReturn:
        self._unknown("tested with if or while", "write `with pipelines.when(output):` instead")

    def __iter__(self) -> Iterator[Any]:
        self._unknown("iterated over", "write `step.map(output)` instead")

    def _unknown(self, use: str, remedy: str) -> NoReturn:
        raise PipelineInvalid(
            f"{described(self.binding)} is not known while the pipeline is defined, so it cannot be {use}: {remedy}"
        )


def bind(value: Any) -> Binding:
    """The binding of an argument; outputs are found inside lists, tuples and dicts too.

    Example:
        >>> bind([1, Output(FromStep("load"))])
        Gathered(kind='list', items=(Constant(value=1), FromStep(key='load', path=())), names=())
    """
    if isinstance(value, Output):
        return value.binding
    if type(value) in (list, tuple) and any(not isinstance(bind(item), Constant) for item in value):
        return Gathered(type(value).__name__, tuple(bind(item) for item in value))
    if type(value) is dict and any(not isinstance(bind(item), Constant) for item in value.values()):
        return Gathered("dict", tuple(bind(item) for item in value.values()), tuple(value))
    return Constant(value)


def leaves(binding: Binding) -> Iterator[Binding]:
    """The bindings inside `binding` that are no containers; `FirstOf` counts as a leaf."""
    if isinstance(binding, Gathered):
        for item in binding.items:
            yield from leaves(item)
    else:
        yield binding


def sources(binding: Binding) -> set[str]:
    """Keys of the steps that `binding` reads."""
    found: set[str] = set()
    for leaf in leaves(binding):
        if isinstance(leaf, FromStep):
            found.add(leaf.key)
        elif isinstance(leaf, FirstOf):
            for option in leaf.options:
                found |= sources(option)
    return found


def part_of(value: Any, path: Path, what: str) -> Any:
    """Follow `path` into `value`, by item, else by attribute.

    Raises:
        PipelineInvalid: There is no such part; the message says what there is.

    Example:
        >>> part_of({"auc": [0.7]}, ("auc", 0), "step 'fit'")
        0.7
    """
    for part in path:
        try:
            value = value[part]
        except (TypeError, KeyError, IndexError):
            if isinstance(part, str) and hasattr(value, part):
                value = getattr(value, part)
                continue
            there = f"keys {list(value)}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
            raise PipelineInvalid(f"the output of {what} has no part {part!r}: it is {there}") from None
    return value


def described(binding: Binding) -> str:
    """A binding for a message.

    Example:
        >>> described(FromStep("load", ("rows",)))
        "the output of step 'load'['rows']"
    """
    if isinstance(binding, FromStep | FromParameter):
        base = f"the output of step {binding.key!r}" if isinstance(binding, FromStep) else f"parameter {binding.name!r}"
        return base + "".join(f"[{part!r}]" for part in binding.path)
    if isinstance(binding, FirstOf):
        return "either(" + ", ".join(described(each) for each in binding.options) + ")"
    if isinstance(binding, Gathered):
        return f"a {binding.kind} of outputs"
    return repr(binding.value)[:80]


def _identity(binding: FromStep | FromParameter) -> tuple[str]:
    return (binding.key,) if isinstance(binding, FromStep) else (binding.name,)
