"""Arguments of a Lightning module's class: the same when it is trained and when it is loaded."""

from __future__ import annotations

from typing import Any

from .trainers import Lightning


def module_options(trainer: Lightning, inputs: int, task: str, classes: int = 0) -> dict[str, Any]:
    """All arguments of the module's class."""
    several = {"classes": classes} if task == "multiclass" else {}
    return {"inputs": inputs, "task": task, **several, **trainer.options}
