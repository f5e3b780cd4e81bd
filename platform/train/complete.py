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
from .row_groups import total
from .spec import Spec
from .survey import Survey

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
    """Metrics of `model` on the plan's validation rows, or, without any, on its training rows as ``train_*``.

    Rows are read and scored one row group at a time; scores and labels (12 bytes a row) are what is held.
    """
    training = plan.split.start is None
    classes = plan.signature.classes
    scored = [
        (model.predict(rows), labels_of(rows.column(plan.label), classes)) for rows in plan.tables(training=training)
    ]
    scores, labels = (np.concatenate(part) for part in zip(*scored, strict=True))
    found = evaluate(scores, labels, task=plan.task)
    counts = {"rows": float(total(plan.train_groups)), "rows_validation": float(total(plan.valid_groups))}
    prefix = "train_" if training else ""
    return {**{f"{prefix}{name}": value for name, value in _finite(found).items() if name != "n"}, **counts}


def reference_rows(plan: Plan, seed: int) -> pa.Table:
    """At most 20,000 rows of the training set, chosen by `seed`, in their order; input columns only."""
    groups = (plan.train_groups, plan.valid_groups)
    counts = [total(part) for part in groups]
    chosen = np.arange(sum(counts))
    if len(chosen) > REFERENCE_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(sum(counts), REFERENCE_ROWS, replace=False, shuffle=False))
    survey = Survey(plan.ws, plan.table)
    limits = plan.split.training(plan.event_time), plan.split.validation(plan.event_time)
    places = chosen[chosen < counts[0]], chosen[chosen >= counts[0]] - counts[0]
    found = [survey.take(plan.columns, *each) for each in zip(groups, limits, places, strict=True)]
    return pa.concat_tables(found)


def as_column(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores as one number a row: of several classes, the number of the most probable one."""
    return scores if scores.ndim == 1 else scores.argmax(axis=1).astype(np.float64)


def _finite(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in found.items() if not isinstance(value, str) and math.isfinite(value)}
