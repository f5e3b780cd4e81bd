"""Fit a Spec through Ray Train, and record everything about it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from ..core import Workspace
from ..registry import (
    Run,
    add_column_edges,
    add_column_lineage,
    finish_run,
    marked,
    put_folder,
    settle_interrupted,
    start_run,
)
from .complete import complete, store_output
from .compute import Resources, resolve
from .environment import environment
from .job import Job
from .launch import launch
from .lineage import prepared_columns
from .live import Follower
from .plan import Plan, make_plan
from .recorded import closing
from .resume import discard_checkpoints, find_resumable
from .spec import Spec


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
        The finished run: parameters; metrics (``auc``, ``logloss``, ``accuracy``, ``brier`` or ``rmse``, ``mae``,
        ``r2``; ``rows``, ``rows_validation``; ``cpu_seconds`` and ``peak_memory_bytes`` of the first worker; seconds
        of each phase), those of the training itself step by step while it runs; environment, event-time column and
        the window of event times that was used in its tags; what the first worker printed as ``log.txt``; and the
        model folder as its artifact.

    Raises:
        ComputeUnavailable: The cluster cannot hold the workers (at once, before anything is recorded).
        DataError, SchemaMismatch, ConfigError: The training set or the Spec cannot be used; see `make_plan`.
        TrainingFailed: A worker failed. The run is recorded as failed, without an artifact; its checkpoints stay.
        NotFound: The run to be resumed is unknown or has no whole checkpoint.

    Example:
        >>> from raylake.train import XGBoost
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
        job = job_of(ws, spec, plan, resources, run.id, before)
        with Follower(ws, run.id):
            fitted = launch(ws, job, resources, run.id)
        trained = time.perf_counter()
        folder.mkdir()
        metrics = complete(folder, spec, plan, run.id, fitted)
        store_output(ws, run, fitted.output)
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
        metrics = {**metrics, "rounds": float(fitted.rounds), **fitted.usage, **seconds}
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
    if plan.recipe is not None:
        add_column_edges(ws, prepared_columns(plan.recipe, run.node))
    return run


def job_of(ws: Workspace, spec: Spec, plan: Plan, resources: Resources, run: str, before: str = "") -> Job:
    """What each worker of a run is given; `before` is the run that it goes on with."""
    return Job(
        ws=ws,
        run=run,
        train=plan.part(training=True),
        valid=None if plan.split.start is None else plan.part(training=False),
        task=plan.task,
        trainer=spec.trainer,
        seed=spec.seed,
        alone=resources.alone or not spec.trainer.worker_loop.group,
        workers=resources.workers,
        threads=resources.cpus,
        gpu=resources.gpus > 0,
        parallel=spec.compute.parallel,
        precision=spec.compute.precision,
        checkpoints=spec.checkpoints,
        resumes=before,
    )
