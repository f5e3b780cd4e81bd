"""Fit a Spec through Ray Train, and record everything about it."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..core import Workspace
from ..registry import (
    Run,
    add_column_lineage,
    finish_run,
    marked,
    put_folder,
    settle_interrupted,
    start_run,
)
from .compute import Resources, resolve
from .environment import environment
from .evaluate import evaluate
from .folder import Description, write_info, write_recipe, write_reference
from .job import Job
from .launch import launch
from .live import Follower
from .model import LoadedModel, load_model
from .plan import Plan, labels_of, make_plan
from .recorded import closing
from .resume import discard_checkpoints, find_resumable
from .row_groups import total
from .spec import Spec
from .survey import Survey
from .torch_options import module_options
from .trainers import XGBoost

REFERENCE_ROWS = 20_000


def fit(ws: Workspace, spec: Spec, *, parent: str | None = None, resume: str | bool = False) -> Run:
    """Train `spec` on the cluster.

    The rows of the pinned training set before the validation rows are fitted; the stored model is then loaded
    again and evaluated on the validation rows, so that the recorded metrics are those of the artifact itself.

    Args:
        ws: The workspace.
        spec: What to fit.
        parent: Id of the run that this one belongs to (a study).
        resume: Id of a run of the same Spec that did not finish, to go on from its newest whole checkpoint; the
            Compute may differ. ``True`` takes the newest such run, or begins anew when there is none.

    Returns:
        The finished run: parameters, metrics (``auc``, ``logloss``, ``accuracy``, ``brier`` or ``rmse``, ``mae``,
        ``r2``; ``rows``, ``rows_validation``, and seconds of each phase), environment, event-time column and the
        window of event times that was used in its tags, and the model folder as its artifact.

    Raises:
        ComputeUnavailable: The cluster cannot hold the workers (at once, before anything is recorded).
        DataError, SchemaMismatch, ConfigError: The training set or the Spec cannot be used; see `make_plan`.
        TrainingFailed: A worker failed. The run is recorded as failed, without an artifact; its checkpoints stay.
        NotFound: The run to be resumed is unknown or has no whole checkpoint.

    Example:
        >>> run = fit(ws, Spec(XGBoost(rounds=20), training))
        >>> run.status, run.metrics["auc"] > 0.8
        ('finished', True)
    """
    started = time.perf_counter()
    settle_interrupted(ws)
    resources = resolve(ws, spec.compute)
    plan = make_plan(ws, spec)
    before = find_resumable(ws, spec, resume)
    run = _start(ws, spec, plan, resources, parent, before)
    planned = time.perf_counter()
    with closing(ws, run), tempfile.TemporaryDirectory(prefix="raylake-fit-") as name:
        folder = Path(name) / "model"
        job = _job(ws, spec, plan, resources, run.id, before)
        with Follower(ws, run.id):
            fitted = launch(ws, job, resources, run.id)
        trained = time.perf_counter()
        folder.mkdir()
        (folder / fitted.file).write_bytes(fitted.content)
        metrics = _complete(folder, spec, plan, run.id)
        artifact = put_folder(ws, folder)
        seconds = {
            "plan_seconds": planned - started,
            "ray_train_seconds": trained - planned,
            "load_seconds": fitted.load_seconds,
            "train_seconds": fitted.train_seconds,
            "wait_seconds": fitted.wait_seconds,
            "finish_seconds": time.perf_counter() - trained,
            "seconds": time.perf_counter() - started,
        }
        metrics = {**metrics, "rounds": float(fitted.rounds), **seconds}
        done = finish_run(ws, run.id, metrics=metrics, artifact=artifact)
        for finished in filter(None, (run.id, before)):
            discard_checkpoints(ws, finished)
        return done


def _start(ws: Workspace, spec: Spec, plan: Plan, resources: Resources, parent: str | None, before: str) -> Run:
    tags = {
        "environment": environment(),
        "resources": {"workers": resources.workers, **resources.bundle},
        "task": plan.task,
        **({"resumes": before} if before else {}),
        "event_time": plan.event_time,
        "window": [moment.isoformat() for moment in plan.window],
        "validation_start": None if plan.split.start is None else plan.split.start.isoformat(),
    }
    inputs = [spec.training.version.node]
    params = spec.to_dict()
    run = start_run(ws, "train", spec.run_name, params=params, tags=marked(tags), inputs=inputs, parent=parent)
    used = {name: name for name in (*plan.columns, plan.label)}
    add_column_lineage(ws, spec.training.version.node, run.node, used)
    return run


def _job(ws: Workspace, spec: Spec, plan: Plan, resources: Resources, run: str, before: str) -> Job:
    return Job(
        ws=ws,
        run=run,
        train=plan.part(training=True),
        valid=None if plan.split.start is None else plan.part(training=False),
        task=plan.task,
        trainer=spec.trainer,
        seed=spec.seed,
        alone=resources.alone,
        threads=resources.cpus,
        gpu=resources.gpus > 0,
        parallel=spec.compute.parallel,
        precision=spec.compute.precision,
        checkpoints=spec.checkpoints,
        resumes=before,
    )


def _complete(folder: Path, spec: Spec, plan: Plan, run: str) -> dict[str, float]:
    """Turn the framework's file in `folder` into a model folder; returns the metrics of the model as stored."""
    write_recipe(folder, plan.recipe)
    sample = reference_rows(plan, spec.seed)
    write_reference(folder, sample)
    about = describe(spec, plan, run)
    write_info(folder, about)
    model = load_model(folder, threads=spec.compute.cpus)
    metrics = measure(model, plan)
    scores = model.predict(sample)
    write_reference(folder, sample.append_column("score", pa.array(scores)))
    write_info(folder, about.measured(metrics))
    return metrics


def describe(spec: Spec, plan: Plan, run: str) -> Description:
    """What `model.json` says about the model of `spec`."""
    boosted = isinstance(spec.trainer, XGBoost)
    features = spec.training.feature_set
    torch: dict[str, Any] = {}
    if not isinstance(spec.trainer, XGBoost):
        options = module_options(spec.trainer, len(plan.matrix_columns), plan.task)
        torch = {"module": spec.trainer.module, "options": options}
    return Description(
        flavour="xgboost" if boosted else "torch",
        signature=plan.signature,
        matrix_columns=plan.matrix_columns,
        run=run,
        trainer=spec.trainer.to_dict(),
        training=plan.table,
        event_time=plan.event_time,
        window=plan.window,
        feature_set=None if features is None else features.to_dict(),
        torch=torch,
    )


def measure(model: LoadedModel, plan: Plan) -> dict[str, float]:
    """Metrics of `model` on the plan's validation rows, or, without any, on its training rows as ``train_*``.

    Rows are read and scored one row group at a time; scores and labels (12 bytes a row) are what is held.
    """
    training = plan.split.start is None
    scored = [(model.predict(rows), labels_of(rows.column(plan.label))) for rows in plan.tables(training=training)]
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


def _finite(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in found.items() if not isinstance(value, str) and math.isfinite(value)}
