"""What came of runs: their records, results, outputs and logs."""

from __future__ import annotations

from typing import Any

from .. import registry
from ..core import Conflict, NotFound, Workspace
from . import state as states
from .definitions import definition_of
from .executor import RayExecutor
from .ledger import tasks_of
from .pipeline import Pipeline
from .records import PipelineRun
from .store import runs as store
from .wiring import Handle, Wiring
from .worker import load


def show(ws: Workspace, run_id: str) -> PipelineRun:
    """One run with its steps; `run_id` may be the unique beginning of the id.

    Raises:
        NotFound: The run is unknown.

    Example:
        >>> [step.state for step in show(ws, doubled.id).steps]
        ['finished', 'finished']
    """
    return store.find(ws, run_id)


def runs(
    ws: Workspace,
    *,
    pipeline: str | None = None,
    state: str | None = None,
    schedule: str | None = None,
    before: str | None = None,
    limit: int | None = 100,
) -> list[PipelineRun]:
    """Runs without their steps, newest first; `before` a run's id gives the next page.

    Example:
        >>> import tempfile
        >>> runs(Workspace.open(tempfile.mkdtemp()), state="failed")
        []
    """
    return store.listed(ws, pipeline=pipeline, state=state, schedule=schedule, before=before, limit=limit)


def result(ws: Workspace, of: PipelineRun | str, *, pipeline: Pipeline | None = None) -> Any:
    """What the pipeline returned in a finished run.

    Raises:
        Conflict: The run has not finished.

    Example:
        >>> result(ws, doubled)
        12
    """
    found = store.find(ws, of if isinstance(of, str) else of.id)
    if found.state != states.FINISHED:
        raise Conflict(f"run {found.id} is {found.state}: a result is there when it has finished")
    loaded, _ = definition_of(ws, found.id, pipeline)
    wiring, state = wiring_of(ws, found.id, loaded)
    return wiring.value(state, loaded.graph.result)


def output(ws: Workspace, of: PipelineRun | str, step: str) -> Any:
    """The output of one step of a run; a mapped step's is the list of its items'.

    Raises:
        NotFound: The step is unknown or has no output.

    Example:
        >>> output(ws, doubled, doubled.steps[0].key)
        6
    """
    found = store.find(ws, of if isinstance(of, str) else of.id)
    wanted = found.step(step)
    names = [step] if wanted.width is None else [states.item(step, index) for index in range(wanted.width)]
    values = []
    for name in names:
        digest = found.step(name).output
        if digest is None:
            raise NotFound(f"step {name!r} of run {found.id} is {found.step(name).state}: it has no output")
        values.append(load(ws, digest))
    return values if wanted.width is not None else values[0]


def logs(ws: Workspace, of: PipelineRun | str, step: str) -> str:
    """What a step printed and logged, all attempts in order.

    Raises:
        NotFound: The step is unknown.

    Example:
        >>> "doubling 3" in logs(ws, doubled, doubled.steps[0].key)
        True
    """
    found = store.find(ws, of if isinstance(of, str) else of.id).step(step)
    parts = []
    for each in found.attempts:
        text = registry.get_bytes(ws, each.log).decode("utf-8", "replace") if each.log else ""
        parts.append(f"--- attempt {each.number} on {each.where or 'a worker that died'}: {each.error or 'ok'}\n{text}")
    return "\n".join(parts)


def wiring_of(ws: Workspace, run_id: str, pipeline: Pipeline | None = None) -> tuple[Wiring, states.RunState]:
    """The outputs of a run, to be read in this process."""
    found = store.find(ws, run_id)
    _, params = definition_of(ws, found.id, pipeline)
    tasks, widths = tasks_of(found.steps)
    wiring = Wiring(ws, params, RayExecutor.__new__(RayExecutor))
    wiring.outputs = {key: Handle(task.output) for key, task in tasks.items() if task.output is not None}
    return wiring, states.RunState(tasks, widths)
