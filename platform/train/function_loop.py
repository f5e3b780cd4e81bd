"""A training function of the user's own, in one process of the cluster."""

from __future__ import annotations

import json
import time
from typing import Any

from .fitted_model import fitted_model
from .flavours.function_flavour import import_callable
from .function_trainer import FitTask, Function
from .job import Fitted, Job
from .table_rows import table_rows


def train_function(job: Job) -> Fitted:
    """Call the function with the rows, and store what it returns."""
    if not isinstance(job.trainer, Function):
        raise TypeError(f"function loop got {type(job.trainer).__name__}")
    started = time.perf_counter()
    (train, labels), (valid, valid_labels) = table_rows(job)
    task = FitTask(train, labels, valid, valid_labels, job.task, job.classes, job.seed, job.threads)
    loaded = time.perf_counter()
    model: Any = import_callable(job.trainer.function)(task, **json.loads(job.trainer.options))
    options: dict[str, Any] = {}
    if isinstance(model, tuple) and len(model) == 2 and isinstance(model[1], dict):
        model, options = model[0], model[1].get("options", {})
    return fitted_model(
        model,
        history=task.history,
        rounds=max((len(values) for values in task.history.values()), default=1),
        seconds=(loaded - started, time.perf_counter() - loaded),
        options=options,
    )
