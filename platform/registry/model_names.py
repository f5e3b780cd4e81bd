"""Names of models and aliases, and references to versions.

A model that raylake registers follows raylake's rule. The registry also holds names that only MLflow's rule allows
(``Iris Classifier``), when they come through that protocol. Such a name is a key in the database and text in JSON;
no path and no URL is built from it: files are found by digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..core import InvalidName, Ref
from .columns import clean

LONGEST = 256
_FORBIDDEN = re.compile(r"[/:\\@\x00-\x1f\x7f]")
_ALIAS = re.compile(r"[\w-]{1,255}")
_RESERVED = re.compile(r"\d+|[vV]\d+|latest", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reference asks for: a model's version, alias or newest version."""

    name: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        selector = self.alias if self.version is None else self.version
        return self.name if selector is None else f"{self.name}@{selector}"


def check_model_name(name: str) -> str:
    """Return `name` if MLflow's rule allows it and it can be told from a reference; else raise.

    Raises:
        InvalidName: It is empty, longer than 256 characters, ``.`` or ``..``, or has ``/``, ``:``, ``@``, a
            backslash, a control character, or spaces at an end.

    Example:
        >>> check_model_name("Iris Classifier (v2)")
        'Iris Classifier (v2)'
        >>> check_model_name("../iris")
        Traceback (most recent call last):
        ...
        raylake.core.errors.InvalidName: model name '../iris' is not valid: use 1 to 256 characters without / : @ ...
    """
    bad = (
        not isinstance(name, str)
        or not 1 <= len(name) <= LONGEST
        or name in (".", "..")
        or name != name.strip()
        or _FORBIDDEN.search(name)
        or clean(name) != name
    )
    if bad:
        raise InvalidName(
            f"model name {name!r:.300} is not valid: use 1 to {LONGEST} characters without / : @ \\ and control "
            "characters, such as a-z, 0-9, _ and -"
        )
    return name


def check_alias(alias: str) -> str:
    """Return `alias` if it can be told from a version; else raise.

    Raises:
        InvalidName: It is not 1 to 255 letters, digits, ``_`` and ``-``, or it is a number, ``v`` and a number,
            or ``latest``.

    Example:
        >>> check_alias("Champion")
        'Champion'
    """
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or clean(alias) != alias:
        raise InvalidName(f"alias {alias!r:.300} is not valid: use 1 to 255 letters, digits, _ and -")
    if _RESERVED.fullmatch(alias):
        raise InvalidName(
            f"alias {alias!r} is a number or reserved, and would read as a version: use a word such as 'champion'"
        )
    return alias


def model_reference(name: str, version: int | None = None, alias: str | None = None) -> str:
    """The text ``name@version`` or ``name@alias``, for a name that MLflow's rule allows.

    Raises:
        InvalidName: The name or alias is not valid.

    Example:
        >>> model_reference("Iris Classifier", 3)
        'Iris Classifier@3'
    """
    return str(Wanted(check_model_name(name), version, alias))


def parse_reference(ref: Ref | str) -> Wanted:
    """Parse ``name``, ``name@version`` or ``name@alias``.

    Raises:
        InvalidName: A part breaks the rule.

    Example:
        >>> parse_reference("Iris Classifier@3")
        Wanted(name='Iris Classifier', version=3, alias=None)
    """
    if isinstance(ref, Ref):
        if ref.namespace != "main":
            raise InvalidName(f"model reference {str(ref)!r} has a namespace: models have none, use name@version")
        return Wanted(ref.name, ref.version, ref.alias)
    name, at, selector = ref.partition("@")
    check_model_name(name)
    if not at:
        return Wanted(name)
    if selector.isdecimal() and selector.isascii():
        return Wanted(name, version=int(selector))
    if not _ALIAS.fullmatch(selector):
        raise InvalidName(f"model reference {ref!r:.300} is not valid: use name, name@3 or name@alias")
    return Wanted(name, alias=selector)
