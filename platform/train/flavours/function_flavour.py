"""Python functions: named by their import path, together with the hash of the module's source. Nothing is pickled."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...core import ArtifactCorrupt, ConfigError, SchemaMismatch
from ..importing import import_object
from .protocol import Scores, Stored

FUNCTION_FILE = "function.py"
_MARK = "__raylake_predictor__"


def predictor(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function of a module as a model.

    It is called as ``function(rows, **options)`` with a `pyarrow.Table` of the signature's columns, and returns (n,)
    probabilities of the second class or values, or (n, classes) probabilities. A model folder names it by its import
    path and holds its module's source, which must be the same where it is loaded. Unmarked functions are not called:
    a forged folder could name any function of any library.

    Raises:
        ConfigError: The function has no import path (a lambda, a notebook's function).

    Example:
        >>> predictor(lambda rows: rows["distance"])
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: function '...:<lambda>' cannot be imported where the model is loaded: ...
    """
    path = import_path(function)
    if "<" in path or path.startswith("__main__"):
        raise ConfigError(
            f"function {path!r} cannot be imported where the model is loaded: define it at the top of a module"
        )
    setattr(function, _MARK, True)
    return function


class FunctionFlavour:
    """A function that is marked with `train.predictor`."""

    name = "function"

    def claims(self, model: object) -> bool:
        """Marked functions."""
        return bool(getattr(model, _MARK, False))

    def save(self, model: Any, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """Write ``function.py``, the module's source; `options` are the function's further arguments."""
        source = module_source(import_path(model))
        try:
            arguments = json.loads(json.dumps(dict(options)))
        except TypeError as error:
            raise ConfigError(f"options {dict(options)} have no JSON form: {error}") from error
        (folder / FUNCTION_FILE).write_text(source, encoding="utf-8")
        return {"file": FUNCTION_FILE, "function": import_path(model), "options": arguments, "source": digest(source)}

    def load(self, folder: Path, stored: Stored) -> FunctionPredictor:
        """Import the function, and compare its module's source with the stored one."""
        path, expected = str(stored.facts["function"]), str(stored.facts["source"])
        if digest((folder / FUNCTION_FILE).read_text(encoding="utf-8", errors="replace")) != expected:
            raise ArtifactCorrupt(f"{FUNCTION_FILE} is not the source that model.json names: fetch the model again")
        function = import_callable(path)
        actual = digest(module_source(path))
        if actual != expected:
            raise ConfigError(
                f"the module of {path!r} has another source here ({actual[:12]}…) than when the model was stored "
                f"({expected[:12]}…): install that version (the model's {FUNCTION_FILE}), or store the model again"
            )
        if not getattr(function, _MARK, False):
            raise ConfigError(f"function {path!r} is not marked with train.predictor: it is not called")
        return FunctionPredictor(function, stored.facts["options"], path)


class FunctionPredictor:
    """Calls a function of an importable module."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any], path: str) -> None:
        self._function, self._options, self._path = function, dict(options), path

    def predict_table(self, rows: pa.Table) -> Scores:
        """What the function returns, as float64."""
        found = self._function(rows, **self._options)
        if isinstance(found, pa.Array | pa.ChunkedArray):
            found = found.to_numpy(**({} if isinstance(found, pa.ChunkedArray) else {"zero_copy_only": False}))
        try:
            return np.asarray(found, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise SchemaMismatch(f"{self._path} returned {type(found).__name__}, which are no numbers") from error


def import_path(function: Any) -> str:
    """``package.module:name`` of a function or class."""
    return f"{function.__module__}:{function.__qualname__}"


def import_callable(path: str) -> Callable[..., Any]:
    """Import ``package.module:name``.

    Raises:
        ConfigError: It cannot be imported, or cannot be called.

    Example:
        >>> import_callable("json:loads")("[1]")
        [1]
    """
    try:
        found = import_object(path)
    except ImportError as error:
        raise ConfigError(
            f"{path!r} cannot be imported ({error}): name it as 'package.module:name', put its file on PYTHONPATH, "
            "or install its package"
        ) from error
    if not callable(found):
        raise ConfigError(f"{path!r} is a {type(found).__name__} and cannot be called: name a function")
    return found  # type: ignore[no-any-return]


def module_source(path: str) -> str:
    """Source of the module of ``package.module:name``.

    Raises:
        ConfigError: The module has none.
    """
    module = importlib.import_module(path.partition(":")[0])
    try:
        return inspect.getsource(module)
    except (OSError, TypeError) as error:
        raise ConfigError(f"the source of {path!r} cannot be read ({error}): use a function of a .py file") from error


def digest(text: str) -> str:
    """SHA-256 of a text, whatever its line ends."""
    return sha256(text.replace("\r\n", "\n").encode()).hexdigest()
