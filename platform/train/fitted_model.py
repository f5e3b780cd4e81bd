"""A model that a loop fitted, as what the worker hands over."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .flavours import flavour_of
from .job import Fitted


def fitted_model(
    model: Any,
    *,
    history: Mapping[str, list[float]],
    rounds: int,
    seconds: tuple[float, float],
    options: Mapping[str, Any] | None = None,
) -> Fitted:
    """Store `model` in its flavour.

    Args:
        model: Anything that a flavour claims.
        history: Metric name to its value after each round.
        rounds: Rounds, epochs or iterations.
        seconds: Time to read and prepare the rows, and of the training.
        options: What the flavour's `save` needs to be told.

    Raises:
        ConfigError: No flavour stores it.
    """
    flavour = flavour_of(model)
    with tempfile.TemporaryDirectory(prefix="raylake-save-") as folder:
        facts = flavour.save(model, Path(folder), dict(options or {}))
        content = (Path(folder) / facts["file"]).read_bytes()
    return Fitted(
        file=facts["file"],
        content=content,
        rounds=rounds,
        history={name: list(values) for name, values in history.items()},
        load_seconds=seconds[0],
        train_seconds=seconds[1],
        flavour=flavour.name,
        facts=facts,
    )
