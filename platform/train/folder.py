"""Writes a model folder: what `load_model` reads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..data import FittedRecipe
from .environment import versions
from .mlmodel import write_mlmodel
from .model import FORMAT, INFO_FILE, RECIPE_FILE, REFERENCE_FILE
from .signature import Signature


@dataclass(frozen=True, slots=True)
class Description:
    """What ``model.json`` says beside the files' hashes.

    Attributes:
        flavour: ``xgboost``, ``lightgbm``, ``sklearn``, ``torch``, ``onnx`` or ``function``.
        signature: Input columns before the recipe, label, task.
        matrix_columns: Columns after the recipe, in order.
        run: Id of the training run.
        trainer: The trainer's `to_dict()`.
        training: The pinned training table.
        event_time: The column that orders its rows in time.
        window: Event times of the oldest and of the newest row that was used, validation rows included; ``None``
            when there is no such column.
        feature_set: The feature set's `to_dict()`, or ``None``.
        facts: What the flavour's `save` says about its file.
        metrics: Validation metrics.
    """

    flavour: str
    signature: Signature
    matrix_columns: tuple[str, ...]
    run: str
    trainer: dict[str, Any]
    training: str
    event_time: str = ""
    window: tuple[datetime, datetime] | None = None
    feature_set: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    def measured(self, metrics: dict[str, float]) -> Description:
        """A copy with metrics."""
        return replace(self, metrics=metrics)


def write_recipe(folder: Path, recipe: FittedRecipe | None) -> None:
    """Store the recipe, if there is one."""
    if recipe is not None:
        (folder / RECIPE_FILE).write_text(recipe.to_json())


def write_reference(folder: Path, rows: pa.Table) -> None:
    """Store the sample for drift reports."""
    pq.write_table(rows, folder / REFERENCE_FILE, compression="zstd")


def write_info(folder: Path, about: Description) -> None:
    """Write ``model.json`` with the hash of every other file in `folder`, and what MLflow's client reads."""
    write_mlmodel(folder, about.signature, about.run)
    info = {
        "format": FORMAT,
        "flavour": about.flavour,
        "signature": about.signature.to_dict(),
        "matrix_columns": list(about.matrix_columns),
        "run": about.run,
        "trainer": about.trainer,
        "training": about.training,
        "event_time": about.event_time,
        "window": None if about.window is None else [moment.isoformat() for moment in about.window],
        "feature_set": about.feature_set,
        "facts": about.facts,
        "metrics": about.metrics,
        "libraries": versions(),
        "files": {path.name: _facts(path) for path in sorted(folder.iterdir()) if path.name != INFO_FILE},
    }
    (folder / INFO_FILE).write_text(json.dumps(info, indent=1, sort_keys=True))


def _facts(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": sha256(content).hexdigest(), "size": len(content)}
