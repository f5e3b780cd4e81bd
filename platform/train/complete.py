"""From what the worker hands over to a model folder, and its metrics as stored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core import Workspace
from ..registry import Run, add_artifact, put_bytes
from .distribution import DISTRIBUTION_FILE, distribution
from .evaluate import evaluate
from .folder import Description, write_info, write_recipe, write_reference
from .job import Fitted
from .labels import labels_of
from .model import LoadedModel, load_model
from .plan import Plan
from .spec import Spec

REFERENCE_ROWS = 20_000


def complete(folder: Path, spec: Spec, plan: Plan, run: str, fitted: Fitted) -> dict[str, float]:
    """Write the model folder of a fit into an empty `folder`; returns the metrics of the model as stored."""
    (folder / fitted.file).write_bytes(fitted.content)
    write_recipe(folder, plan.recipe)
    sample = reference_rows(plan, spec.seed)
    write_reference(folder, sample)
    about = describe(spec, plan, run, fitted)
    (folder / DISTRIBUTION_FILE).write_text(json.dumps(distribution(sample), indent=1))
    write_info(folder, about)
    model = load_model(folder, threads=spec.compute.cpus)
    metrics = measure(model, plan)
    write_reference(folder, sample.append_column("score", pa.array(as_column(model.predict(sample)))))
    write_info(folder, about.measured(metrics))
    return metrics


def store_output(ws: Workspace, run: Run, output: str) -> None:
    """Keep what the worker printed as the run's artifact ``log.txt``."""
    if output:
        content = output.encode("utf-8", errors="replace")
        add_artifact(ws, f"{run.experiment_id}/{run.id}/artifacts/log.txt", put_bytes(ws, content), len(content))


def describe(spec: Spec, plan: Plan, run: str, fitted: Fitted) -> Description:
    """What `model.json` says about the model of `spec`."""
    features = spec.training.feature_set
    return Description(
        flavour=fitted.flavour or spec.trainer.flavour,
        signature=plan.signature,
        matrix_columns=plan.matrix_columns,
        run=run,
        trainer=spec.trainer.to_dict(),
        training=plan.table,
        event_time=plan.event_time,
        window=plan.window,
        feature_set=None if features is None else features.to_dict(),
        facts=fitted.facts,
    )


def measure(model: LoadedModel, plan: Plan) -> dict[str, float]:
    """Metrics of `model` on the plan's validation rows, or, without any, on its training rows as ``train_*``."""
    rows, prefix = (plan.valid, "") if plan.split.start is not None else (plan.train, "train_")
    labels = labels_of(rows.column(plan.label), plan.signature.classes)
    found = evaluate(model.predict(rows), labels, task=plan.task)
    counts = {"rows": float(plan.train.num_rows), "rows_validation": float(plan.valid.num_rows)}
    return {**{f"{prefix}{name}": value for name, value in _finite(found).items() if name != "n"}, **counts}


def reference_rows(plan: Plan, seed: int) -> pa.Table:
    """At most 20,000 rows of the training set, chosen by `seed`, in their order; input columns only."""
    rows = pa.concat_tables([plan.train, plan.valid]).select(list(plan.columns))
    if rows.num_rows <= REFERENCE_ROWS:
        return rows
    chosen = np.random.default_rng(seed).choice(rows.num_rows, REFERENCE_ROWS, replace=False)
    return rows.take(pa.array(np.sort(chosen)))


def as_column(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores as one number a row: of several classes, the number of the most probable one."""
    return scores if scores.ndim == 1 else scores.argmax(axis=1).astype(np.float64)


def _finite(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in found.items() if not isinstance(value, str) and math.isfinite(value)}
