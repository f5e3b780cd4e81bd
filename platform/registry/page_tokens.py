"""Page tokens: MLflow's are the base64 of ``{"offset": n}``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import orjson

from ..core import DataError


def token_of(offset: int) -> str:
    """The token of the page that starts at `offset`.

    Example:
        >>> offset_of(token_of(7)), offset_of("")
        (7, 0)
    """
    return base64.b64encode(f'{{"offset": {offset}}}'.encode()).decode()


def offset_of(token: str) -> int:
    """Where the page of a token starts; 0 without a token.

    Raises:
        DataError: It is no token.
    """
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token)
    except ValueError as error:  # not ASCII, or no base64
        raise DataError("Invalid page token, could not base64-decode") from error
    try:
        found = orjson.loads(decoded)
        offset = int(found["offset"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"Invalid page token, decoded value={decoded!r:.200}") from error
    if not 0 < offset < 2**63:
        raise DataError(f"Invalid page token, parsed value={offset}")
    return offset


def next_page(start: int, limit: int, rows: Sequence[Any]) -> str:
    """The token of the page after the one that starts at `start`, if there was a row too many; else ``""``.

    Example:
        >>> next_page(0, 2, ["a", "b"]), offset_of(next_page(4, 2, ["a", "b", "c"]))
        ('', 6)
    """
    return token_of(start + limit) if len(rows) > limit else ""
