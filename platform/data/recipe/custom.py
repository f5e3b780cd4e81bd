"""A function of one's own as a step: stored as its import path and a hash of its code, never as code."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from ...core import ConfigError, SchemaMismatch
from .dates import moments_of
from .layout import Layout, Learned
from .step import Column, Step, one_of
from .texts import as_arrow

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MARK = "__raylake_recipe_function__"
# So many rows are computed one by one when a recipe is fitted, and compared.
_TRIED = 20


def recipe_function(function: _Function) -> _Function:
    """Mark a function that recipes may call, so that a stored recipe cannot name just any function of any library.

    It gets a numpy array ``(rows,)`` per column: float64 with NaN for null, text as objects with ``None``, times as
    ``datetime64[us]`` with NaT. It returns an array of numbers or text ``(rows,)``, or a tuple of them, each row on
    its own.

    Example:
        >>> @recipe_function
        ... def speed(miles, minutes):
        ...     return 60 * miles / minutes
    """
    setattr(function, _MARK, True)
    return function


@dataclass(frozen=True, slots=True)
class Custom(Step):
    """Add columns that a function of yours computes from others.

    The recipe keeps the function's import path and a SHA-256 of its source text; wherever the recipe is loaded, the
    same function must be importable with the same text. (Functions that it calls are not followed.) When it is
    fitted, some rows are computed alone and compared, so a function that looks at other rows is refused.

    Attributes:
        columns: The function's arguments, in order. They stay.
        function: A top-level function marked with `recipe_function`, or its path ``package.module:name``.
        makes: Names of the new columns, in the order in which the function returns them.
        kind: What they are: ``number`` or ``text``.
        settings: JSON-able arguments by name.

    Example: see docs/recipes.md.

        >>> Custom(["miles"], "my.steps:no_such", makes=["speed"]).function
        'my.steps:no_such'
    """

    function: Callable[..., Any] | str = ""
    makes: Sequence[str] = ()
    kind: Literal["number", "text"] = "number"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Step.__post_init__(self)
        one_of(self, "kind", self.kind, ("number", "text"))
        if isinstance(self.makes, str) or not self.makes:
            raise ConfigError(f"makes={self.makes!r} of Custom is not a list of new columns: use ['name']")
        object.__setattr__(self, "makes", tuple(self.makes))
        object.__setattr__(self, "function", _path(self.function))

    @property
    def reads(self) -> tuple[str, ...]:
        """All of them at once."""
        return tuple(self.columns)

    @property
    def takes_times(self) -> bool:
        """The function may read times."""
        return True

    def partial(self, values: Column, *others: Column) -> None:
        """Compare rows alone with rows together.

        Raises:
            SchemaMismatch: They differ, or the function returns something else than columns.
        """
        run = _Call(self.learned(None))
        together = run([_argument(column)[:_TRIED] for column in others])
        for row in range(len(together[0])):
            alone = run([_argument(column)[row : row + 1] for column in others])
            for name, one, all_ in zip(self.makes, alone, together, strict=True):
                if not _same(one[0], all_[row]):
                    raise SchemaMismatch(
                        f"{self.function} gives {one[0]!r} for {name!r} of a row alone, and {all_[row]!r} for it among "
                        "others: a step must treat each row on its own, else serving would not do what training did"
                    )

    def merge(self, one: None, other: None) -> None:
        """Nothing is learned."""

    def learned(self, summaries: Mapping[str, Any] | None) -> dict[str, Any]:
        """Path and hash of the function."""
        function = load_function(str(self.function))
        return {
            "step": "Custom",
            "columns": list(self.columns),
            "function": self.function,
            "sha256": source_hash(function, str(self.function)),
            "makes": list(self.makes),
            "kind": self.kind,
            "settings": dict(self.settings),
        }


def _path(function: Any) -> str:
    if isinstance(function, str):
        module, _, name = function.partition(":")
        if not module or not name.isidentifier():
            raise ConfigError(f"function={function!r} of Custom is not a path: write package.module:name")
        return function
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if not name.isidentifier() or module in ("", "__main__"):
        raise ConfigError(
            f"function {function!r} of Custom cannot be found again: put it at the top level of a module (not of a "
            "notebook or script) that training and serving can import"
        )
    return f"{module}:{name}"


def load_function(path: str) -> Callable[..., Any]:
    """The function of a path.

    Raises:
        ConfigError: It cannot be imported, or is not marked with `recipe_function`.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the recipe calls {path}, which cannot be imported here ({error}): install the package that has it"
        ) from error
    if not getattr(found, _MARK, False):
        raise ConfigError(
            f"the recipe calls {path}, which is not meant for recipes: mark it with @data.recipe_function"
        )
    return found  # type: ignore[no-any-return]


def source_hash(function: Callable[..., Any], path: str) -> str:
    """SHA-256 of the text of a function, apart from its indentation and white space at the ends of lines.

    Raises:
        ConfigError: The text cannot be found.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ConfigError(f"the source of {path} cannot be read ({error}): keep it in a .py file") from error
    return hashlib.sha256("\n".join(line.rstrip() for line in text.splitlines()).encode()).hexdigest()


def compile_custom(layout: Layout, learned: Learned) -> None:
    """Arguments, the call, and slots for its results.

    Raises:
        ConfigError: The function's text is not that of the fitted recipe.
    """
    path = learned["function"]
    if source_hash(load_function(path), path) != learned["sha256"]:
        raise ConfigError(
            f"{path} has changed since the recipe was fitted: restore the function as it was, or fit the recipe again"
        )
    arguments = [layout.place("Custom", name, "number", "text", "time") for name in learned["columns"]]
    last = learned["columns"][-1]
    made = {name: layout.new(learned["kind"]) for name in learned["makes"]}
    layout.replace(last, {last: layout.columns[last], **made})
    places = [(place.kind, place.slot) for place in arguments]
    layout.operations.append(CallFunction(_Call(learned), places, [place.slot for place in made.values()]))


@dataclass(frozen=True, slots=True)
class CallFunction:
    """Calls the function on whole columns."""

    call: _Call
    arguments: Sequence[tuple[str, int]]
    slots: Sequence[int]

    def run(self, numbers: np.ndarray, texts: list[Any]) -> None:
        """In place."""
        given = [
            _argument(texts[slot]) if kind == "text" else moments_of(numbers[:, slot]) if kind == "time"
            # A copy: the function may write to what it gets.
            else numbers[:, slot].copy()
            for kind, slot in self.arguments
        ]  # fmt: skip
        for slot, column in zip(self.slots, self.call(given), strict=True):
            if self.call.text:
                texts[slot] = column.tolist()
            else:
                numbers[:, slot] = column


class _Call:
    """A function with its settings, whose results are checked."""

    def __init__(self, learned: Learned) -> None:
        self.text = learned["kind"] == "text"
        self._path, self._makes = learned["function"], list(learned["makes"])
        self._function, self._settings = load_function(self._path), dict(learned["settings"])

    def __call__(self, arguments: Sequence[Any]) -> list[Any]:
        found = self._function(*arguments, **self._settings)
        columns = list(found) if isinstance(found, tuple) else [found]
        if len(columns) != len(self._makes):
            raise SchemaMismatch(f"{self._path} returns {len(columns)} columns, not those of makes={self._makes}")
        return [
            self._checked(column, name, len(arguments[0])) for name, column in zip(self._makes, columns, strict=True)
        ]

    def _checked(self, column: Any, name: str, rows: int) -> Any:
        try:
            values = np.asarray(column, dtype=object if self.text else np.float64)
        except (TypeError, ValueError) as error:
            raise SchemaMismatch(
                f"{self._path} returns no numbers for {name!r}: {error}; kind='text' is for text"
            ) from error
        if values.shape != (rows,):
            raise SchemaMismatch(
                f"{self._path} returns shape {values.shape} for {name!r}, not ({rows},): a value per row"
            )
        if self.text and any(item is not None and not isinstance(item, str) for item in values):
            raise SchemaMismatch(f"{self._path} returns something else than text and None for {name!r}")
        return values


def _argument(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return column.copy()
    return np.array(column if isinstance(column, list) else as_arrow(column).to_pylist(), dtype=object)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))
