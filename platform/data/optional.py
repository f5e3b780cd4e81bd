"""Libraries that only some connectors need: imported when they are used, with the install command when missing."""

from __future__ import annotations

import importlib
from typing import Any

from ..core import ConfigError


def need(module: str, extra: str) -> Any:
    """Import a module that an extra of raylake installs.

    Raises:
        ConfigError: It is not installed; the message is the command that installs it.

    Example:
        >>> need("json", "json").loads("1")
        1
        >>> need("no_such_module", "kafka")
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: this needs no_such_module, which is not installed: pip install 'raylake[kafka]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise ConfigError(f"this needs {module}, which is not installed: pip install 'raylake[{extra}]'") from error
