"""The driver: takes one run from where it stands to its end, with every change in the registry first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import cloudpickle

from ..core import Conflict, Node, RaylakeError, StorageError, Workspace
from . import events
from . import state as states
from .bindings import Constant
from .events import Event
from .executor import Done, Executor
from .graph import GraphNode, fingerprint
from .ledger import Ledger, tasks_of
from .notification import deliveries
from .pipeline import Pipeline
from .records import Failure
from .state import DONE, FINALLY, ON_FAILURE, RunState, advance, node_of, ready
from .step import Step
from .store import leases
from .trace import injected
from .wiring import Handle, Wiring
from .worker import Call

_Answer = TypeVar("_Answer")
HEARTBEAT_SECONDS = 1.0
CANCEL_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a driver behaves.

    Attributes:
        patience: Seconds that it goes on trying while the registry cannot be reached.
    """

    patience: float = 300.0


class Driver:
    """Drives one run. Whoever holds the lease drives; a driver whose lease was taken stops without a trace."""

    def __init__(
        self,
        ws: Workspace,
        lease: leases.Lease,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        executor: Executor,
        settings: Settings | None = None,
    ) -> None:
        self.ws, self.lease, self.pipeline, self.executor = ws, lease, pipeline, executor
        self.settings = settings or Settings()
        handlers = [h.options if h else None for h in (pipeline.on_failure, pipeline.finaliser)]
        self.shape = states.shape_of(pipeline.graph, *handlers)
        steps = leases.steps_of(ws, lease)
        self.ledger = Ledger(steps)
        self.state = states.resumed(self.shape, *tasks_of(steps))
        self.wiring = Wiring(ws, parameters, executor)
        for key, task in self.state.tasks.items():
            if task.state in DONE and task.output is not None:
                self.wiring.outputs[key] = Handle(task.output)
        self._code: dict[int, bytes] = {}
        self._cache_rows: list[dict[str, Any]] = []
        self._flying: set[str] = set()
        self._cancelled_at: float | None = None
        self._beat = 0.0

    def drive(self) -> str:
        """Drive to the end; return the state of the run.

        Raises:
            Conflict: Another driver took the run over.
            ComputeUnavailable: A step asks for what no node has; the run is recorded as failed.
            StorageError: The registry stayed unreachable for longer than the driver's patience.
        """
        try:
            for node in self.pipeline.graph:
                if self.state.tasks[node.key].state == states.WAITING:
                    self.executor.check(node.key, node.step.options)
        except RaylakeError as error:
            self._end(states.FAILED, str(error))
            raise
        try:
            return self._loop()
        except BaseException as error:
            # An interrupted driver leaves nothing behind that works on; the run stays resumable.
            for task in list(self._flying):
                self.executor.cancel(task, force=True)
            if isinstance(error, KeyboardInterrupt):
                self._end(states.PAUSED, "interrupted")
            raise

    def _loop(self) -> str:
        while True:
            self.state, starts = self._decide()
            if states.settled(self.state):
                return self._end(states.outcome(self.state), self._error())
            if self.state.pausing and not self._flying:
                return self._end(states.PAUSED, "")
            self._record()
            for task, node, call, values in starts:
                self.executor.submit(call, values, node.step.options)
                self._flying.add(task)
            done = self.executor.wait(self._patience_now())
            self.state = advance(self.shape, self.state, [self._ended(each) for each in done])
            if not done and not self._flying:
                time.sleep(self._patience_now())
            self._push_cancelled()

    # What happens next

    def _decide(self) -> tuple[RunState, list[tuple[str, GraphNode, Call, list[Any]]]]:
        """Skip, reuse and expand what can be; collect the calls of what starts."""
        state = self.state
        starts: list[tuple[str, GraphNode, Call, list[Any]]] = []
        room = self.executor.capacity() - len(self._flying)
        while True:
            happened: list[Event] = []
            for task in ready(self.shape, state, time.monotonic()):
                if len(starts) >= room and task not in self.shape:
                    continue  # an item of a mapped node: it could only start
                event = self._next(state, task, room > len(starts))
                if event is None:
                    continue
                if isinstance(event, events.Start):
                    starts.append(self._call(state, task))
                happened.append(event)
            if not happened:
                return state, starts
            state = advance(self.shape, state, happened)

    def _next(self, state: RunState, task: str, room: bool) -> Event | None:
        key, index = _split(task)
        node = self._node(key)
        try:
            if index is None and state.tasks[task].state == states.WAITING:
                for condition in node.conditions:
                    if bool(self.wiring.value(state, condition.binding)) != condition.wanted:
                        return events.Skip(task)
                if node.over:
                    return events.Expand(key, self.wiring.width(state, node))
            if node.step.options.cache and state.tasks[task].state == states.WAITING:
                found = self._cached(state, node, index)
                if found is not None:
                    self.wiring.outputs[task] = Handle(found)
                    return events.Reuse(task, found)
        except RaylakeError as error:
            return events.Break(task, f"{type(error).__name__}: {error}")
        return events.Start(task) if room else None

    def _call(self, state: RunState, task: str) -> tuple[str, GraphNode, Call, list[Any]]:
        key, index = _split(task)
        node, record = self._node(key), state.tasks[task]
        inputs, values = self.wiring.inputs(state, node, index)
        self.ledger.started(task, self.wiring.identity(state, node, index, exact=False), datetime.now(UTC))
        call = Call(
            ws=self.ws,
            code=self._pickled(node.step),
            step=key,
            run_id=self.lease.run_id,
            task=task,
            attempt=record.attempt + 1,
            generation=record.generation,
            inputs=inputs,
            injected={name: kind.__name__ for name, kind in injected(node.step).items()},
            timeout=node.step.options.timeout,
        )
        return task, node, call, values

    def _node(self, key: str) -> GraphNode:
        if key not in (ON_FAILURE, FINALLY):
            return self.pipeline.graph.by_key[key]
        step = self.pipeline.on_failure if key == ON_FAILURE else self.pipeline.finaliser
        assert step is not None
        own = injected(step)
        names = [name for name in step.code.signature.parameters if name not in own]
        failure = Failure(self.lease.run_id, self.pipeline.name, self._errors())
        return GraphNode(key, step, {name: Constant(failure) for name in names[:1]})

    def _pickled(self, step: Step) -> bytes:
        found = self._code.get(id(step.code))
        if found is None:
            found = self._code[id(step.code)] = cloudpickle.dumps(step.code)
        return found

    def _cache_key(self, state: RunState, node: GraphNode, index: int | None) -> str:
        step = node.step
        inputs = self.wiring.identity(state, node, index, exact=True)
        return fingerprint([step.code.name, step.code.fingerprint, step.options.version, inputs])

    def _cached(self, state: RunState, node: GraphNode, index: int | None) -> str | None:
        key = self._cache_key(state, node, index)
        return _patiently(self.settings, lambda: leases.cached_output(self.ws, [key])).get(key)

    # What has happened

    def _ended(self, done: Done) -> Event:
        task, now = done.task, datetime.now(UTC)
        self._flying.discard(task)
        error = done.crash or (done.outcome.error if done.outcome else "")
        self.ledger.ended(task, self.state.tasks[task].attempt, now, done.outcome, error)
        if done.outcome is None:
            self.wiring.forget_handles()
            limit = self._node(node_of(task)).step.options.timeout
            # A worker that faulthandler ended after the deadline looks to Ray like any crash.
            hint = "" if limit is None else f"; the step has a timeout of {limit:g} s, after which it is killed"
            told = f"step {task!r}: {done.crash}{hint}"
            return events.Fail(task, told, time.monotonic(), crash=True, final=done.final)
        if done.outcome.output is None:
            return events.Fail(task, done.outcome.error, time.monotonic(), final=done.outcome.final)
        self.wiring.outputs[task] = Handle(done.outcome.output, done.value)
        self._remember(task, done.outcome.output)
        return events.Finish(task, done.outcome.output)

    def _remember(self, task: str, output: str) -> None:
        key, index = _split(task)
        node = self._node(key)
        if node.step.options.cache:
            entry = self._cache_key(self.state, node, index)
            run, moment = self.lease.run_id, datetime.now(UTC)
            self._cache_rows.append({"key": entry, "output": output, "run_id": run, "step": task, "created_at": moment})

    def _errors(self) -> dict[str, str]:
        return {key: task.error for key, task in self.state.tasks.items() if task.state == states.FAILED}

    def _error(self) -> str:
        if self.state.cancelling:
            return "cancelled"
        errors = self._errors()
        shown = "; ".join(f"step {key!r} failed: {error}" for key, error in list(errors.items())[:3])
        return shown + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")

    # The registry

    def _record(self) -> None:
        rows = self.ledger.changed(self.state)
        if not rows and not self._cache_rows and time.monotonic() - self._beat < HEARTBEAT_SECONDS:
            return
        request = self._commit(rows)
        self.ledger.taken(self.state)
        if request == "cancel" and not self.state.cancelling:
            self._cancel()
        elif request == "pause" and not self.state.pausing:
            self.state = replace(self.state, pausing=True)

    def _commit(self, rows: Sequence[Mapping[str, Any]], ending: leases.Ending | None = None) -> str:
        cached = self._cache_rows

        def once() -> str:
            return leases.commit(self.ws, self.lease, rows, datetime.now(UTC), cached=cached, ending=ending)

        request = _patiently(self.settings, once)
        self._beat = time.monotonic()
        self._cache_rows = []
        return request

    def _end(self, outcome: str, error: str) -> str:
        event = None
        if outcome in states.ENDED:
            subject = Node("pipeline", self.pipeline.name, self.lease.run_id)
            event = {"kind": f"pipeline-{outcome}", "subject": str(subject), "payload": {"error": error[:1000]}}
        sent = deliveries(self.pipeline.notify, outcome, self.pipeline.name, self.lease.run_id, error)
        self._commit(self.ledger.changed(self.state), leases.Ending(outcome, error, event, sent))
        return outcome

    # Cancellation and pace

    def _cancel(self) -> None:
        self.state = advance(self.shape, self.state, [events.Cancel()])
        self._cancelled_at = time.monotonic()
        for task in self._flying:
            self.executor.cancel(task, force=False)

    def _push_cancelled(self) -> None:
        if self._cancelled_at is None or time.monotonic() - self._cancelled_at < CANCEL_GRACE_SECONDS:
            return
        self._cancelled_at = time.monotonic()
        for task in self._flying - {ON_FAILURE, FINALLY}:
            self.executor.cancel(task, force=True)

    def _patience_now(self) -> float:
        """How long to wait for the next thing to happen."""
        due = states.next_due(self.state)
        return HEARTBEAT_SECONDS if due is None else max(0.0, min(HEARTBEAT_SECONDS, due - time.monotonic()))


def _patiently(settings: Settings, work: Callable[[], _Answer]) -> _Answer:
    """Ask the registry; while it is gone, try again: what runs goes on meanwhile."""
    until, pause = time.monotonic() + settings.patience, 0.1
    while True:
        try:
            return work()
        except StorageError:
            if time.monotonic() > until:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 5.0)


def _split(task: str) -> tuple[str, int | None]:
    key, bracket, rest = task.partition("[")
    return key, int(rest[:-1]) if bracket else None


__all__ = ["Conflict", "Driver", "Settings"]
