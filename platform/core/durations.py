"""Spans of time as a person writes them: ``250ms``, ``30s``, ``5m``, ``2h``, ``90d``, ``1w``."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import ConfigError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


def duration(value: str | timedelta, what: str = "duration") -> timedelta:
    """A positive span of time, from itself or from a number and a unit (``ms``, ``s``, ``m``, ``h``, ``d``, ``w``).

    Args:
        value: The span, or text such as ``90s`` or ``1.5h``.
        what: What the span is for; used in the message.

    Raises:
        ConfigError: The text has another form, or the span is not above zero.

    Example:
        >>> duration("3h", "ttl")
        datetime.timedelta(seconds=10800)
    """
    span = value
    if isinstance(value, str):
        found = _FORM.fullmatch(value.strip())
        span = timedelta(seconds=float(found[1]) * _UNITS[found[2]]) if found else timedelta(0)
    if not isinstance(span, timedelta) or span <= timedelta(0):
        raise ConfigError(
            f"{what} {value!r} is not valid: use a timedelta or text such as '90s', '15m', '3h', '2d', '1w'"
        )
    return span
