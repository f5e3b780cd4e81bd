"""Spans of time as a person writes them: ``250ms``, ``30s``, ``5m``, ``2h``, ``90d``."""

from __future__ import annotations

import re
from datetime import timedelta

from ..core import ConfigError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


def duration(text: str, what: str = "duration") -> timedelta:
    """Parse a number and a unit (``ms``, ``s``, ``m``, ``h``, ``d``, ``w``).

    Raises:
        ConfigError: The text has another form, or the span is not above zero.

    Example:
        >>> duration("90m") == duration("1.5h")
        True
    """
    found = _FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or float(found[1]) <= 0:
        raise ConfigError(f"{what} {text!r} is not valid: use a number and one of {', '.join(_UNITS)}, such as '5m'")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
