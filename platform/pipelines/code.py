"""The function of a step or pipeline: how it travels to other processes, and how a change of it is noticed."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any, get_type_hints


@dataclass(frozen=True, eq=False)
class Code:
    """A function that is pickled as ``module:name`` when it can be imported again, else by value.

    Imported again, a resumed run uses the code as it is now; a function of a notebook travels as it was.

    Attributes:
        function: The plain function.
    """

    function: Callable[..., Any]

    def __reduce__(self) -> tuple[Any, ...]:
        home = self.home
        return (Code, (self.function,)) if home is None else (import_code, home)

    @cached_property
    def home(self) -> tuple[str, str, str] | None:
        """Module, qualified name and search folder from which `import_code` finds this function; ``None`` if none."""
        module = sys.modules.get(self.function.__module__ or "")
        if module is None or module.__name__ == "__main__" or not getattr(module, "__file__", None):
            return None
        found = _attribute(module, self.function.__qualname__)
        if found is not self.function and getattr(getattr(found, "code", None), "function", None) is not self.function:
            return None
        depth = module.__name__.count(".") + hasattr(module, "__path__")
        return module.__name__, self.function.__qualname__, str(Path(str(module.__file__)).absolute().parents[depth])

    @property
    def name(self) -> str:
        """``module:qualified.name``, for people."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @cached_property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return inspect.signature(self.function)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """Its annotations; those that cannot be evaluated here count as absent."""
        try:
            return get_type_hints(self.function)
        except (NameError, TypeError, AttributeError):
            return {
                name: kind
                for name, kind in getattr(self.function, "__annotations__", {}).items()
                if not isinstance(kind, str)
            }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what the function does: comments, layout, docstring and decorators do not count;
        a new version of Python does.

        Functions that it calls are not followed: give the step another `version` when they change.
        """
        compiled = getattr(self.function, "__code__", None)
        shape = _shape(compiled, self.function.__doc__) if compiled else repr(self.function)
        defaults = (getattr(self.function, "__defaults__", None), getattr(self.function, "__kwdefaults__", None))
        return hashlib.sha256(repr((shape, defaults)).encode()).hexdigest()


def import_code(module: str, qualname: str, folder: str) -> Code:
    """The function ``module:qualname``; `folder` joins the search path when the module is not found without it.

    Example:
        >>> import_code("os.path", "join", "").function("a", "b")
        'a/b'
    """
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError:
        if not folder or folder in sys.path or not Path(folder).is_dir():
            raise
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        loaded = importlib.import_module(module)
    found = _attribute(loaded, qualname)
    if found is None:
        raise ImportError(f"module {module!r} has no {qualname!r} any more: restore it, or pass the pipeline itself")
    code = getattr(found, "code", None)
    return code if isinstance(code, Code) else Code(found)


def _attribute(owner: Any, qualname: str) -> Any:
    for part in qualname.split("."):
        owner = getattr(owner, part, None)
    return owner


def _shape(code: CodeType, doc: str | None = None) -> tuple[object, ...]:
    """What a code object does, the same in every process: no file, no lines, no docstring."""
    constants = [_constant(each) for each in code.co_consts if each is not doc and each != doc]
    return (code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants)


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return _shape(value)
    if isinstance(value, frozenset):  # its order depends on the process
        return sorted(map(repr, value))
    return [_constant(each) for each in value] if isinstance(value, tuple) else repr(value)
