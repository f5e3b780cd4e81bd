"""scikit-learn estimators as JSON and back: the class by its import path and its parameters, all the way down."""

from __future__ import annotations

import json
import math
from types import FunctionType
from typing import Any

import numpy as np

from ..core import ConfigError
from .flavours.function_flavour import import_callable, import_path
from .importing import import_object

_CLASS, _TUPLE, _FLOAT, _FUNCTION, _ARRAY = "class", "tuple", "float", "function", "array"
_DICT, _TYPE, _SELECTOR = "dict", "type", "selector"
_PLAIN_TYPES = (int, float, str, bool, object)


def blueprint(estimator: Any) -> str:
    """The estimator's class and parameters as JSON text with sorted keys; nothing that it learned.

    Raises:
        ConfigError: It is no estimator, or a parameter has no such form.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> blueprint(Ridge(alpha=2.0))[:60]
        '{"class": "sklearn.linear_model._ridge:Ridge", "params": {"a'
    """
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise ConfigError(
            f"{estimator!r:.100} is no estimator of scikit-learn: give an object such as LogisticRegression()"
        )
    return json.dumps(_plain(estimator, type(estimator).__name__), sort_keys=True)


def build(text: str) -> Any:
    """The unfitted estimator of a blueprint.

    Raises:
        ConfigError: A class cannot be imported, or is no estimator.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> build(blueprint(Ridge(alpha=2.0)))
        Ridge(alpha=2.0)
    """
    return _object(json.loads(text))


def _plain(value: Any, where: str) -> Any:
    from sklearn.compose import make_column_selector

    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_FLOAT: repr(value)}
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, np.ndarray):
        return {_ARRAY: value.tolist()}
    if hasattr(value, "get_params") and not isinstance(value, type):
        params = value.get_params(deep=False)
        return {
            _CLASS: f"{type(value).__module__}:{type(value).__qualname__}",
            "params": {name: _plain(each, f"{where}.{name}") for name, each in params.items()},
        }
    if isinstance(value, tuple):
        return {_TUPLE: [_plain(each, where) for each in value]}
    if isinstance(value, list):
        return [_plain(each, where) for each in value]
    if isinstance(value, dict):
        return {_DICT: [[_plain(name, where), _plain(each, where)] for name, each in value.items()]}
    if isinstance(value, type) and (issubclass(value, np.generic) or value in _PLAIN_TYPES):
        return {_TYPE: value.__name__}
    if isinstance(value, make_column_selector):
        return {_SELECTOR: {name: _plain(each, where) for name, each in vars(value).items()}}
    if isinstance(value, FunctionType | type(np.log1p)) and "<" not in import_path(value):
        return {_FUNCTION: import_path(value)}
    raise ConfigError(
        f"parameter {where} is {value!r:.100}, which cannot be stored in a Spec: use numbers, text, estimators and "
        "functions of importable modules"
    )


def _object(found: Any) -> Any:
    from sklearn.compose import make_column_selector

    if isinstance(found, list):
        return [_object(each) for each in found]
    if not isinstance(found, dict):
        return found
    if _TUPLE in found:
        return tuple(_object(each) for each in found[_TUPLE])
    if _FLOAT in found:
        return float(found[_FLOAT])
    if _ARRAY in found:
        return np.array(found[_ARRAY])
    if _FUNCTION in found:
        return import_callable(found[_FUNCTION])
    if _DICT in found:
        return {_object(name): _object(each) for name, each in found[_DICT]}
    if _TYPE in found:
        return _type(found[_TYPE])
    if _SELECTOR in found:
        return make_column_selector(**{name: _object(each) for name, each in found[_SELECTOR].items()})
    return _estimator(found[_CLASS], {name: _object(each) for name, each in found["params"].items()})


def _type(name: str) -> type:
    kinds = {kind.__name__: kind for kind in _PLAIN_TYPES}
    found = kinds.get(name) or getattr(np, name, None)
    if not (isinstance(found, type) and (found in _PLAIN_TYPES or issubclass(found, np.generic))):
        raise ConfigError(f"{name!r} is no type of numbers or text")
    return found


def _estimator(path: str, params: dict[str, Any]) -> Any:
    try:
        kind = import_object(path)
    except ImportError as error:
        raise ConfigError(f"estimator {path!r} cannot be imported ({error}): install its package") from error
    if not (isinstance(kind, type) and hasattr(kind, "get_params") and hasattr(kind, "set_params")):
        raise ConfigError(f"{path!r} is no estimator of scikit-learn: it has no get_params")
    return kind(**params)
