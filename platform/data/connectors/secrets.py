"""Secrets stay out of declarations: ``${NAME}`` in an address is read from the environment when it is used."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ...core import ConfigError

_MARK = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")


def reveal(text: str) -> str:
    """Put environment variables in place of their ``${NAME}``.

    Raises:
        ConfigError: A variable is not set.

    Example:
        >>> os.environ["DOC_PASSWORD"] = "x"
        >>> reveal("postgresql://ann:${DOC_PASSWORD}@db/shop")
        'postgresql://ann:x@db/shop'
    """

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ConfigError(f"environment variable {found[1]!r} is not set, but {conceal(text)!r} needs it: set it")
        return os.environ[found[1]]

    return _MARK.sub(value, text)


def reveal_all(texts: Mapping[str, str]) -> dict[str, str]:
    """`reveal` for every value."""
    return {name: reveal(str(text)) for name, text in texts.items()}


def conceal(text: str) -> str:
    """A URL for people: without the password.

    Example:
        >>> conceal("redis://ann:secret@cache/0")
        'redis://ann:***@cache/0'
    """
    return _PASSWORD.sub(r"\1:***@", text)
