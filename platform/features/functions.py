"""References to functions: what a definition remembers of a transformation, and how serving finds it again.

A function is named by its import path, ``module:qualname``, and a digest of its normalised source (comments,
docstring and formatting do not count). Loading imports the module and compares the digest, so that a function which
changed since a model was trained is an error and not a silent difference between training and serving. What a
function calls or reads from its module is not part of the digest.

Functions of a notebook or script (``__main__``) work offline. Their source is kept in the definition for people to
read, but it is **never executed** from there: running code that came with a model file is the same risk as loading
a pickle, and the text without its notebook's imports would often not even be the same function. In the process that
defined it the function is found again; anywhere else loading says to move it into a module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa

from ..core import ConfigError

Transform = Callable[..., pa.Table]  # of one table, or of one per source of a view


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function by name.

    Attributes:
        path: ``module:qualname``.
        digest: 12 hex digits of the normalised source.
        source: The source text of a function of ``__main__``, for people; empty for importable ones.
    """

    path: str
    digest: str
    source: str = ""

    def load(self) -> Transform:
        """Import the function.

        Raises:
            ConfigError: Module or function is not there, or its source changed since the reference was made.
        """
        module, _, qualname = self.path.partition(":")
        found = _resolve(self.path, module, qualname)
        now = reference(found)
        if now.digest != self.digest:
            raise ConfigError(
                f"function {self.path} changed since it was packaged (source {self.digest}, now {now.digest}): "
                "features would differ from those of training; train again, or install the code it was trained with"
            )
        return found

    def to_dict(self) -> dict[str, str]:
        """As JSON-able mapping; warns when serving will not find the function."""
        if self.path.startswith("__main__:"):
            warnings.warn(
                f"function {self.path} lives in a notebook or script: it works here, but serving and other processes "
                "cannot import it. Move it into a module (in a notebook: %%writefile my_features.py) and import it",
                stacklevel=2,
            )
        kept = {"path": self.path, "digest": self.digest}
        return kept | ({"source": self.source} if self.source else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> FunctionRef:
        """The reverse of `to_dict`."""
        return cls(data["path"], data["digest"], data.get("source", ""))


@dataclass(frozen=True, slots=True)
class StoredFunction:
    """A callable that imports its function when it is first needed (a server never runs a view's transform)."""

    ref: FunctionRef

    def __call__(self, *tables: pa.Table) -> pa.Table:
        """Import and call the function."""
        return self.ref.load()(*tables)


def reference(function: Transform) -> FunctionRef:
    """The reference of a top-level function.

    Raises:
        ConfigError: A lambda, method, partial, closure or built-in, which no import path can name.

    Example:
        >>> reference(lambda table: table)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: function ... cannot be named by an import path: define it with `def` ...
    """
    if isinstance(function, StoredFunction):
        return function.ref
    module = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", "")
    if not inspect.isfunction(function) or not module or "<" in qualname or "." in qualname:
        raise ConfigError(
            f"function {function!r} cannot be named by an import path: define it with `def` at the top level of a "
            "module (no lambda, method, partial or inner function)"
        )
    source = _source(function)
    digest = sha256(_normalised(source).encode() if source else function.__code__.co_code).hexdigest()[:12]
    return FunctionRef(f"{module}:{qualname}", digest, source if module == "__main__" else "")


def _resolve(path: str, module: str, qualname: str) -> Transform:
    try:
        home = sys.modules["__main__"] if module == "__main__" else importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"function {path} cannot be imported ({error}): install the module {module!r} here, "
            "or ship it to the cluster (Ray working_dir or py_modules)"
        ) from error
    found: Any = getattr(home, qualname, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if module == "__main__":
        raise ConfigError(
            f"function {qualname!r} was defined in a notebook or script and is not known in this process: move it into "
            "an importable module and train again (source kept in a model is shown to people, never executed)"
        )
    raise ConfigError(f"module {module!r} has no function {qualname!r}: install the version the model was trained with")


def _source(function: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except OSError:  # typed at a prompt
        return ""


def _normalised(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
