"""Arguments of a network's class: the same when it is trained and when it is loaded."""

from __future__ import annotations

from typing import Any

from .flavours import TORCH_FILE
from .job import Job
from .torch_trainer import Torch
from .trainers import Lightning


def module_options(trainer: Lightning | Torch, inputs: int, task: str, classes: int = 0) -> dict[str, Any]:
    """All arguments of the module's class."""
    several = {"classes": classes} if task == "multiclass" else {}
    return {"inputs": inputs, "task": task, **several, **trainer.options}


def options_of(job: Job, trainer: Lightning | Torch) -> dict[str, Any]:
    """All arguments of the class of a job's module."""
    return module_options(trainer, len(job.matrix_columns), job.task, len(job.classes))


def module_facts(job: Job, trainer: Lightning | Torch) -> dict[str, Any]:
    """What the torch flavour needs to build the module again."""
    return {"file": TORCH_FILE, "module": trainer.module, "options": options_of(job, trainer)}
