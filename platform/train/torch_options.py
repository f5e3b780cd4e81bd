"""Arguments of a network's class: the same when it is trained and when it is loaded."""

from __future__ import annotations

from typing import Any

from .trainers import Lightning, Torch


def module_options(trainer: Lightning | Torch, inputs: int, task: str) -> dict[str, Any]:
    """All arguments of the module's class."""
    return {"inputs": inputs, "task": task, **trainer.options}
