"""Objects that a stored path names."""

from __future__ import annotations

import importlib
from typing import Any


def import_object(path: str) -> Any:
    """Import ``package.module:name``, also of a name inside a class. What it is, the caller checks.

    Raises:
        ImportError: There is no such module or name.

    Example:
        >>> import_object("json:JSONDecoder.decode").__name__
        'decode'
    """
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (AttributeError, ValueError) as error:
        raise ImportError(str(error)) from error
    return found
