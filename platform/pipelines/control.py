"""Runs, as people handle them: start, resume, cancel, pause, retry, look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..core import Conflict, PipelineFailed, PipelineInvalid, Workspace, ensure_ray
from . import state as states
from .bindings import Constant
from .definitions import definition_of, store_definition
from .driver import Driver
from .executor import Executor, RayExecutor
from .graph import Graph, GraphNode
from .ledger import rows_of, tasks_of
from .notification import deliver_run
from .outcomes import wiring_of
from .pipeline import Pipeline
from .records import PipelineRun
from .store import leases
from .store import runs as store
from .store.runs import NewRun


def run(ws: Workspace, pipeline: Pipeline, /, **params: Any) -> PipelineRun:
    """Run a pipeline here and now, and wait for its end. Steps run on Ray.

    Args:
        ws: The workspace.
        pipeline: The pipeline.
        params: Its parameters; text is converted to their types.

    Returns:
        The finished run; `result` loads what the pipeline returned.

    Raises:
        PipelineInvalid: A parameter is unknown, missing or wrong.
        ComputeUnavailable: A step asks for more than any node has.
        PipelineFailed: A step failed, or the run was cancelled; `resume` goes on from what had finished.

    Example:
        >>> from raylake import pipelines
        >>> @pipelines.step
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> @pipelines.pipeline
        ... def twice(start: int = 1):
        ...     return double(double(start))
        >>> done = run(ws, twice, start=3)
        >>> pipelines.result(ws, done)
        12
    """
    run_id = submit(ws, pipeline, params)
    return drive(ws, run_id, pipeline=pipeline)


def submit(
    ws: Workspace,
    pipeline: Pipeline,
    params: Mapping[str, Any] | None = None,
    *,
    pool: str = "default",
    priority: int = 0,
    dedupe: str | None = None,
) -> str:
    """Queue a run and return its id: a scheduler starts it when its pool has room, or `drive` does.

    Args:
        ws: The workspace.
        pipeline: The pipeline.
        params: Its parameters.
        pool: The pool whose slots it takes.
        priority: Higher ones start first.
        dedupe: A key; a second run with it is not created, and the first one's id is returned.

    Raises:
        PipelineInvalid: A parameter is unknown, missing or wrong.
        Conflict: `dedupe` belongs to another pipeline's run.

    Example:
        >>> import tempfile
        >>> from raylake import pipelines
        >>> @pipelines.pipeline
        ... def nothing():
        ...     pass
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> pipelines.show(ws, submit(ws, nothing)).state
        'queued'
    """
    parsed = pipeline.parse(params or {})
    version, definition = store_definition(ws, pipeline)
    new = NewRun(
        pipeline=pipeline.name,
        version=version,
        definition=definition,
        params=pipeline.params_json(parsed),
        dedupe=dedupe,
        pool=pool,
        priority=priority,
        concurrency=pipeline.concurrency,
    )
    made = store.create(ws, new)
    if made is None:
        raise Conflict(f"a run with the key {dedupe!r} exists: it is not started twice")
    return made


def drive(
    ws: Workspace, run_id: str, *, pipeline: Pipeline | None = None, executor: Executor | None = None
) -> PipelineRun:
    """Drive a queued, paused or interrupted run to its end in this process.

    Args:
        ws: The workspace.
        run_id: The run.
        pipeline: Its pipeline as it is now; without it, the stored definition.
        executor: Where steps run; Ray by default.

    Raises:
        Conflict: Another driver has the run, or it has ended.
        PipelineFailed: A step failed, or the run was cancelled.

    Example:
        >>> drive(ws, submit(ws, doubling, {"start": 5})).state
        'finished'
    """
    lease = leases.acquire(ws, run_id, leases.owner(), datetime.now(UTC))
    pipeline, params = definition_of(ws, lease.run_id, pipeline)
    if executor is None:
        ensure_ray(ws)
        executor = RayExecutor(pipeline.name)
    outcome = Driver(ws, lease, pipeline, params, executor).drive()
    deliver_run(ws, lease.run_id)
    ended = store.find(ws, lease.run_id)
    if outcome in (states.FAILED, states.CANCELLED):
        raise PipelineFailed(
            f"run {ended.id} of pipeline {ended.pipeline!r} {outcome}: {ended.error}. "
            f"What had finished is kept: `raylake pipeline resume {ended.id[:8]}` goes on from there",
            ended.id,
        )
    return ended


def resume(
    ws: Workspace, run_id: str, *, pipeline: Pipeline | None = None, executor: Executor | None = None
) -> PipelineRun:
    """Go on with a failed, cancelled, paused or killed run: finished steps are kept, the others run.

    The pipeline's code is taken as it is now when it can be imported; a notebook's as it was then.

    Raises:
        Conflict: Another driver has the run, or it has finished.
        NotFound: The run is unknown.
        PipelineFailed: It failed again.

    Example:
        >>> import tempfile
        >>> resume(Workspace.open(tempfile.mkdtemp()), "0" * 32)
        Traceback (most recent call last):
        ...
        raylake.core.errors.NotFound: pipeline run '00000000000000000000000000000000' is not recorded: ...
    """
    found = store.find(ws, run_id)
    if found.state == states.FINISHED:
        raise Conflict(f"run {found.id} has finished: there is nothing to resume; retry_step runs one step again")
    leases.reopen_ended(ws, found.id)
    return drive(ws, found.id, pipeline=pipeline, executor=executor)


def retry_step(
    ws: Workspace,
    run_id: str,
    step: str,
    *,
    pipeline: Pipeline | None = None,
    executor: Executor | None = None,
) -> PipelineRun:
    """Run one step of an ended or paused run again, and then what depends on it.

    A step that had finished gets a new generation, so that what it writes is written anew.

    Raises:
        NotFound: The run or the step is unknown.
        Conflict: The run is being driven.

    Example:
        >>> retry_step(ws, doubled.id, doubled.steps[0].key).state
        'finished'
    """
    found = store.find(ws, run_id)
    if found.state in (states.RUNNING, states.QUEUED):
        raise Conflict(f"run {found.id} is {found.state}: pause or cancel it before a step is retried")
    found.step(step)
    loaded, _ = definition_of(ws, found.id, pipeline)
    key = states.node_of(step)
    affected = {key, *loaded.graph.after(key)}
    shape = states.shape_of(loaded.graph)
    tasks, widths = tasks_of(found.steps)
    wiped = states.reset(shape, states.RunState(tasks, widths), affected)
    store_ready = [row for row in rows_of(wiped, found.steps) if states.node_of(row["key"]) in affected]
    leases.save_steps(ws, found.id, store_ready)
    leases.reopen_ended(ws, found.id)
    return drive(ws, found.id, pipeline=loaded, executor=executor)


def run_step(
    ws: Workspace,
    pipeline: Pipeline,
    step: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    of_run: str | None = None,
    executor: Executor | None = None,
) -> PipelineRun:
    """Run one step alone, as a run of its own named ``pipeline-step``.

    Args:
        ws: The workspace.
        pipeline: The pipeline.
        step: Key of the step.
        inputs: Its inputs; those that are constants in the pipeline may be left out.
        of_run: A run whose outputs and parameters give the inputs that are left out.
        executor: Where it runs; Ray by default.

    Raises:
        PipelineInvalid: The step is unknown, or an input is missing.

    Example:
        >>> run_step(ws, doubling, doubling.graph.keys[0], inputs={"x": 4}).state
        'finished'
    """
    node = pipeline.graph[step]
    given = dict(inputs or {})
    wiring = wiring_of(ws, of_run) if of_run else None
    for name, binding in node.bindings.items():
        if name in given:
            continue
        if wiring is not None:
            given[name] = wiring[0].value(wiring[1], binding)
        elif isinstance(binding, Constant):
            given[name] = binding.value
        else:
            raise PipelineInvalid(f"step {step!r} needs input {name!r}: give it in inputs=, or name of_run=")
    alone = GraphNode(step.rpartition("/")[2], node.step, {k: Constant(v) for k, v in given.items()}, node.over)
    single = Pipeline(f"{pipeline.name}-{alone.key}", Graph((alone,), Constant(None)))
    return drive(ws, submit(ws, single), pipeline=single, executor=executor)


def cancel(ws: Workspace, run_id: str) -> str:
    """Cancel a run: nothing new starts, what runs is interrupted and after five seconds killed, the finaliser runs.

    Returns:
        The run's state now: ``running`` until its driver has seen it.

    Raises:
        Conflict: The run has ended.

    Example:
        >>> cancel(ws, submit(ws, doubling, {"start": 5}))
        'cancelled'
    """
    return store.ask(ws, run_id, "cancel")


def pause(ws: Workspace, run_id: str) -> str:
    """Pause a run: nothing new starts, what runs may end; `resume` goes on.

    Returns:
        The run's state now: ``running`` until its driver has seen it.

    Raises:
        Conflict: The run has ended.

    Example:
        >>> pause(ws, submit(ws, doubling, {"start": 5}))
        'paused'
    """
    return store.ask(ws, run_id, "pause")
