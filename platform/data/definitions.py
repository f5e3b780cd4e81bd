"""Sources as plain data: stored in the registry, written in YAML, typed on a command line."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from ..core import ConfigError, RaylakeError, SourceError
from .connectors.kinds import FieldError, connector_from_plain, connector_to_plain
from .expectations import (
    Expectation,
    at_least_rows,
    between,
    fresh,
    holds,
    matches,
    not_null,
    one_of,
    refers_to,
    rows_between,
    satisfies,
    similar,
    unique,
)
from .source import Source


def _similar(column: str, most: float = 0.25, **choice: Any) -> Expectation:
    return similar(column, most=most, **choice)


def _satisfies(path: str, *columns: str, **choice: Any) -> Expectation:
    return satisfies(_function(path, "function"), *columns, **choice)


_PLAIN = (at_least_rows, between, fresh, holds, matches, not_null, one_of, refers_to, rows_between, unique)
_RULES: Mapping[str, Callable[..., Expectation]] = {
    **{rule.__name__: rule for rule in _PLAIN},
    "satisfies": _satisfies,
    "similar": _similar,
}
_USUAL = {"at_least_rows": "fail", "rows_between": "fail", "fresh": "warn", "similar": "warn"}


def source_to_plain(source: Source) -> dict[str, Any]:
    """A source as JSON-able data, without fields that have their default.

    Raises:
        ConfigError: Its connector is of no known kind, or its transform is no top-level function.

    Example:
        >>> from raylake.data import Csv
        >>> plain = source_to_plain(Source("trips", Csv("*.csv"), key=["id"], expectations=[between("miles", 0, 9)]))
        >>> plain["connector"], plain["expectations"]
        ({'kind': 'csv', 'paths': ['*.csv']}, [{'between': ['miles', 0, 9]}])
    """
    found: dict[str, Any] = {"name": source.name, "connector": connector_to_plain(source.connector)}
    for entry in fields(source):
        held = getattr(source, entry.name)
        if entry.name in found or held == entry.default or held in ((), [], {}):
            continue
        if entry.name == "expectations":
            held = [_rule_to_plain(rule) for rule in held]
        elif entry.name == "transform":
            held = _path_of(held, "transform")
        found[entry.name] = dict(held) if isinstance(held, Mapping) else list(held) if isinstance(held, tuple) else held
    return found


def source_from_plain(given: Mapping[str, Any]) -> Source:
    """The source that plain data describe.

    Expectations are written ``{not_null: id}`` or ``{between: [miles, 0, 9], on_fail: drop}``, a transform as
    ``module:function``.

    Raises:
        ConfigError: A field is unknown, missing or wrong; the message names it.

    Example:
        >>> made = source_from_plain({"name": "trips", "connector": {"kind": "csv", "paths": "*.csv"}, "every": "5m"})
        >>> made.name, made.every
        ('trips', '5m')
    """
    if not isinstance(given, Mapping):
        raise FieldError(f"a source is a mapping with name and connector, not {given!r}")
    known = [entry.name for entry in fields(Source)]
    for name in given:
        if name not in known:
            raise FieldError(f"a source has no field {name!r}: use some of {', '.join(known)}", (name,))
    for name in ("name", "connector"):
        if name not in given:
            raise FieldError(f"source {given.get('name', '?')!r} needs {name!r}")
    values = dict(given)
    try:
        values["connector"] = connector_from_plain(given["connector"])
    except FieldError as error:
        raise error.below("connector") from error
    rules = given.get("expectations", ())
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise FieldError("expectations are a list, such as [{not_null: id}]", ("expectations",))
    values["expectations"] = [expectation_from_plain(rule, ("expectations", at)) for at, rule in enumerate(rules)]
    if given.get("transform") is not None:
        values["transform"] = _function(given["transform"], "transform")
    for name in ("key", "partition_by", "null_values"):
        if name in values and isinstance(values[name], list):
            values[name] = tuple(values[name])
    return _made(values)


def load_sources(path: str | Path) -> list[Source]:
    """Read sources from a YAML file: a list below ``sources``, or one source.

    Raises:
        SourceError: The file cannot be read.
        ConfigError: It is no YAML, or a source in it is wrong; the message starts with file and line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "sources.yaml")
        >>> _ = file.write_text("sources:\\n- name: trips\\n  connector: {kind: csv, path: x}\\n")
        >>> load_sources(file)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: .../sources.yaml, line 3: connector 'csv' has no field 'path': use some of ...
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        whole = yaml.safe_load(text)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Name a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        raise ConfigError(f"{place}: not YAML: {getattr(error, 'problem', None) or error}") from error
    single = isinstance(whole, Mapping) and "sources" not in whole
    listed = [whole] if single else (whole or {}).get("sources") if isinstance(whole, Mapping) else whole
    if not isinstance(listed, list):
        raise ConfigError(f"{path}, line 1: expected a list below 'sources:', found {str(listed)[:80]!r}")
    found = []
    for at, given in enumerate(listed):
        above: tuple[str | int, ...] = () if single else ("sources", at) if isinstance(whole, Mapping) else (at,)
        try:
            found.append(source_from_plain(given))
        except RaylakeError as error:
            wrong = error.path if isinstance(error, FieldError) else ()
            raise ConfigError(f"{path}, line {_line(root, (*above, *wrong))}: {error}") from error
    names = [source.name for source in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path} defines sources {twice} more than once: give each a name of its own")
    return found


def _made(values: Mapping[str, Any]) -> Source:
    try:
        return Source(**values)
    except RaylakeError as error:
        # Say which field it was, where the message names exactly one.
        named = [name for name in values if name != "name" and name in str(error).split("=")[0].split()]
        raise FieldError(str(error), (named[0],) if named else ("name",) if "name" in str(error) else ()) from error
    except TypeError as error:
        raise FieldError(f"source {values.get('name')!r} is not valid: {error}") from error


def expectation_from_plain(given: Any, path: tuple[str | int, ...] = ()) -> Expectation:
    """The expectation that ``{between: [miles, 0, 9], on_fail: drop}`` describes.

    Args:
        given: The rule to its argument, or a list of them, and perhaps ``on_fail``.
        path: Where it stands, for the message of an error.

    Raises:
        ConfigError: There is no such rule, or its arguments are wrong.

    Example:
        >>> expectation_from_plain({"between": ["miles", 0, 9]}).name
        'between(miles, 0, 9)'
    """
    if not isinstance(given, Mapping):
        raise FieldError(
            f"expectation {given!r} is not valid: write {{not_null: id}} or {{between: [miles, 0, 9]}}", path
        )
    names = [name for name in given if name != "on_fail"]
    if len(names) != 1 or names[0] not in _RULES:
        raise FieldError(f"expectation {dict(given)!r} names no rule: use one of {', '.join(sorted(_RULES))}", path)
    arguments = given[names[0]]
    arguments = arguments if isinstance(arguments, list) else [arguments]
    choice = {"on_fail": given["on_fail"]} if "on_fail" in given else {}
    try:
        return _RULES[names[0]](*arguments, **choice)
    except (TypeError, ConfigError) as error:
        raise FieldError(f"expectation {names[0]}: {error}", path) from error


def _rule_to_plain(rule: Expectation) -> dict[str, Any]:
    if rule.rule not in _RULES:
        raise ConfigError(f"expectation {rule.name} cannot be stored: use one of {', '.join(sorted(_RULES))}")
    arguments: list[Any] = [list(one) if isinstance(one, tuple) else one for one in rule.arguments]
    if rule.rule == "satisfies":
        arguments = [_path_of(rule.arguments[0], "function"), *rule.columns]
    else:
        arguments = [*rule.columns, *arguments]
    found: dict[str, Any] = {rule.rule: arguments[0] if len(arguments) == 1 else arguments}
    if rule.on_fail != _USUAL.get(rule.rule, "quarantine"):
        found["on_fail"] = rule.on_fail
    return found


def _path_of(function: Any, what: str) -> str:
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if not name.isidentifier() or module in ("", "__main__"):
        raise ConfigError(
            f"{what} {function!r} cannot be stored: make it a top-level function of a module that is installed"
        )
    return f"{module}:{name}"


def _function(path: Any, what: str) -> Any:
    module, _, name = str(path).partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FieldError(f"{what} {path!r} cannot be loaded ({error}): use module:function", (what,)) from error


def _line(node: Any, path: Sequence[str | int]) -> int:
    """Line (from 1) of the deepest part of `path` that is there."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
            if not pairs:
                return line
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return int(line)
