"""The state of a run as a pure value: `advance` takes events, `ready` says what may happen next.

A task is a node's key, or ``key[3]`` for an item of a mapped node, whose own task stands for all its items.

::

    waiting -> running -> finished            waiting -> skipped    a condition did not hold
       |          |                           waiting -> cached     an earlier result was taken
       |          |-> retrying -> running     waiting -> blocked    something before it failed
       |          `-> failed                  any unsettled -> cancelled
       `-> running (a mapped node whose items are at work)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..core import PipelineError
from .bindings import sources
from .events import Break, Cancel, Event, Expand, Fail, Finish, OfTask, Pause, Reuse, Skip, Start
from .graph import Graph
from .step import StepOptions

WAITING, RUNNING, RETRYING = "waiting", "running", "retrying"
FINISHED, CACHED, SKIPPED = "finished", "cached", "skipped"
FAILED, BLOCKED, CANCELLED = "failed", "blocked", "cancelled"
PAUSED, QUEUED = "paused", "queued"

DONE = frozenset({FINISHED, CACHED})
BAD = frozenset({FAILED, BLOCKED, CANCELLED})
SETTLED = DONE | BAD | {SKIPPED}
ENDED = frozenset({FINISHED, FAILED, CANCELLED, SKIPPED})  # states of a run that has ended

ON_FAILURE, FINALLY = "on-failure", "finally"
_HANDLERS = (ON_FAILURE, FINALLY)


@dataclass(frozen=True, slots=True)
class Task:
    """Where one task stands.

    Attributes:
        state: See the module.
        attempt: Number of the newest attempt; 0 before the first.
        failures: Attempts that ended in an error of the step.
        crashes: Attempts whose worker died.
        generation: How often it was reset after it had finished.
        output: Digest of its output.
        due: When a retry is due, seconds since the epoch.
        error: Why the newest attempt failed.
    """

    state: str = WAITING
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    generation: int = 0
    output: str | None = None
    due: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class ShapeNode:
    """What the state machine needs to know of a node."""

    key: str
    upstream: frozenset[str]
    required: frozenset[str]
    alternatives: tuple[tuple[frozenset[str], ...], ...]
    mapped: bool
    options: StepOptions


@dataclass(frozen=True, slots=True)
class RunState:
    """All tasks of a run.

    Attributes:
        tasks: Task to where it stands.
        widths: Mapped node to the number of its items, once known.
        cancelling: Whether it was cancelled.
        pausing: Whether nothing new may start.
    """

    tasks: Mapping[str, Task]
    widths: Mapping[str, int] = field(default_factory=dict)
    cancelling: bool = False
    pausing: bool = False


Shape = Mapping[str, ShapeNode]


def shape_of(graph: Graph, on_failure: StepOptions | None = None, finaliser: StepOptions | None = None) -> Shape:
    """The graph as the state machine sees it, handlers included as the last nodes."""
    shape = {}
    for node in graph:
        alternatives = tuple(
            tuple(frozenset(sources(option)) for option in each.options) for each in node.alternatives()
        )
        shape[node.key] = ShapeNode(
            node.key,
            frozenset(node.upstream()),
            frozenset(node.required()),
            alternatives,
            bool(node.over),
            node.step.options,
        )
    for key, options in ((ON_FAILURE, on_failure), (FINALLY, finaliser)):
        if options is not None:
            shape[key] = ShapeNode(key, frozenset(shape), frozenset(), (), False, options)
    return shape


def initial(shape: Shape) -> RunState:
    """Everything waits."""
    return RunState(dict.fromkeys(shape, Task()))


def advance(shape: Shape, state: RunState, events: Iterable[Event]) -> RunState:
    """The state after `events`, with everything that follows from them settled.

    Raises:
        PipelineError: An event does not fit the task's state.
    """
    tasks, widths = dict(state.tasks), dict(state.widths)
    cancelling, pausing = state.cancelling, state.pausing
    for event in events:
        if isinstance(event, Cancel):
            cancelling = True
        elif isinstance(event, Pause):
            pausing = True
        elif isinstance(event, Expand):
            _expect(tasks, event.key, (WAITING,))
            widths[event.key] = event.width
            tasks[event.key] = replace(tasks[event.key], state=RUNNING)
            for index in range(event.width):
                tasks.setdefault(item(event.key, index), Task())
            for index in _beyond(tasks, event.key, event.width):  # left from an earlier, longer list
                tasks[item(event.key, index)] = Task(SKIPPED)
        else:
            tasks[event.task] = _after(shape, tasks, event, cancelling)
    _settle(shape, tasks, widths, cancelling)
    return RunState(tasks, widths, cancelling, pausing)


def ready(shape: Shape, state: RunState, now: float) -> list[str]:
    """Tasks that may start (or be skipped, reused, expanded) now, in topological order."""
    if state.pausing and not state.cancelling:
        return []
    found = []
    for key, node in shape.items():
        task = state.tasks[key]
        if task.state == WAITING or (task.state == RETRYING and task.due <= now):
            if all(state.tasks[source].state in SETTLED for source in node.upstream):
                found.append(key)
        elif node.mapped and task.state == RUNNING:
            for index in range(state.widths[key]):
                each = state.tasks[item(key, index)]
                if each.state == WAITING or (each.state == RETRYING and each.due <= now):
                    found.append(item(key, index))
    return found


def next_due(state: RunState) -> float | None:
    """When the next retry is due; ``None`` when none waits."""
    times = [task.due for task in state.tasks.values() if task.state == RETRYING]
    return min(times, default=None)


def settled(state: RunState) -> bool:
    """Whether nothing is left to do."""
    return all(task.state in SETTLED for task in state.tasks.values())


def outcome(state: RunState) -> str:
    """How a settled run ended: ``finished``, ``failed`` or ``cancelled``."""
    if state.cancelling:
        return CANCELLED
    return FAILED if any(task.state in BAD for task in state.tasks.values()) else FINISHED


def resumed(shape: Shape, tasks: Mapping[str, Task], widths: Mapping[str, int]) -> RunState:
    """The state from which a resumed run goes on: what is done stays, all else waits; crash budgets start afresh."""
    kept = {}
    for key, task in tasks.items():
        node = shape.get(node_of(key))
        if node is None or (key != node.key and not node.mapped):
            continue
        # Handlers belong to the end of a run, which is now another one.
        again = task.state not in DONE | {SKIPPED} or key in _HANDLERS
        kept[key] = replace(task, state=WAITING, failures=0, crashes=0, due=0.0, error="") if again else task
    known = {key: width for key, width in widths.items() if key in shape and shape[key].mapped}
    for key in known:
        if kept.get(key, Task()).state == WAITING:
            known = {k: w for k, w in known.items() if k != key}
    return RunState({**dict.fromkeys(shape, Task()), **kept}, known)


def reset(shape: Shape, state: RunState, keys: Iterable[str]) -> RunState:
    """Make the given nodes wait again, with their items; what had finished starts a new generation."""
    tasks, widths = dict(state.tasks), dict(state.widths)
    wanted = set(keys)
    for key, task in state.tasks.items():
        if node_of(key) in wanted:
            fresh = task.generation + (task.state in DONE)
            tasks[key] = Task(attempt=task.attempt, generation=fresh)
    for key in wanted:
        widths.pop(key, None)
    return RunState(tasks, widths)


def item(key: str, index: int) -> str:
    """The task of one item of a mapped node."""
    return f"{key}[{index}]"


def node_of(task: str) -> str:
    """The node of a task.

    Example:
        >>> node_of("clean[3]"), node_of("load")
        ('clean', 'load')
    """
    return task.partition("[")[0]


def _after(shape: Shape, tasks: Mapping[str, Task], event: OfTask, cancelling: bool) -> Task:
    name = event.task
    task = tasks.get(name)
    if task is None:
        raise PipelineError(f"there is no task {name!r} in this run")
    if isinstance(event, Start):
        _expect(tasks, name, (WAITING, RETRYING))
        return replace(task, state=RUNNING, attempt=task.attempt + 1, error="")
    if isinstance(event, Skip):
        _expect(tasks, name, (WAITING,))
        return replace(task, state=SKIPPED)
    if isinstance(event, Reuse):
        _expect(tasks, name, (WAITING,))
        return replace(task, state=CACHED, output=event.output)
    if isinstance(event, Break):
        _expect(tasks, name, (WAITING, RETRYING))
        return replace(task, state=FAILED, error=event.error)
    _expect(tasks, name, (RUNNING,))
    if isinstance(event, Finish):
        return replace(task, state=FINISHED, output=event.output, error="")
    assert isinstance(event, Fail)
    return _failed(shape[node_of(name)].options, task, event, cancelling and name not in _HANDLERS)


def _failed(options: StepOptions, task: Task, event: Fail, cancelling: bool) -> Task:
    failures, crashes = task.failures + (not event.crash), task.crashes + event.crash
    task = replace(task, failures=failures, crashes=crashes, error=event.error)
    if cancelling:
        return replace(task, state=CANCELLED)
    left = crashes <= options.crash_retries if event.crash else failures <= options.retries
    if event.final or not left:
        return replace(task, state=FAILED)
    return replace(task, state=RETRYING, due=event.at + options.delay(crashes if event.crash else failures))


def _settle(shape: Shape, tasks: dict[str, Task], widths: Mapping[str, int], cancelling: bool) -> None:
    """What follows: mapped nodes whose items ended, nodes blocked or skipped by what came before, cancellation."""
    for key, node in shape.items():  # in topological order, so one pass is enough
        if node.mapped and tasks[key].state == RUNNING:
            _settle_mapped(tasks, key, widths[key], cancelling)
        elif tasks[key].state in (WAITING, RETRYING):
            if key in _HANDLERS:
                _settle_handler(shape, tasks, key, cancelling)
            elif cancelling:
                tasks[key] = replace(tasks[key], state=CANCELLED)
            elif verdict := _verdict(node, tasks):
                tasks[key] = replace(tasks[key], state=verdict)
        if node.mapped and tasks[key].state in BAD | {SKIPPED}:
            _settle_items(tasks, key)


def _settle_mapped(tasks: dict[str, Task], key: str, width: int, cancelling: bool) -> None:
    names = [item(key, index) for index in range(width)]
    if cancelling:
        for name in names:
            if tasks[name].state in (WAITING, RETRYING):
                tasks[name] = replace(tasks[name], state=CANCELLED)
    states = {tasks[name].state for name in names}
    if not states <= SETTLED:
        return
    bad = [name for name in names if tasks[name].state in BAD]
    if not bad:
        tasks[key] = replace(tasks[key], state=FINISHED, error="")
    else:
        error = f"{len(bad)} of {width} items failed, first {bad[0]}: {tasks[bad[0]].error}"
        state = CANCELLED if cancelling and FAILED not in states else FAILED
        tasks[key] = replace(tasks[key], state=state, error=error)


def _settle_items(tasks: dict[str, Task], key: str) -> None:
    """A node that will not run takes along the items that an earlier drive has left."""
    state = BLOCKED if tasks[key].state == FAILED else tasks[key].state
    for index in _beyond(tasks, key, 0):
        if (task := tasks[item(key, index)]).state not in SETTLED:
            tasks[item(key, index)] = replace(task, state=state)


def _beyond(tasks: Mapping[str, Task], key: str, width: int) -> Iterator[int]:
    while item(key, width) in tasks:
        yield width
        width += 1


def _settle_handler(shape: Shape, tasks: dict[str, Task], key: str, cancelling: bool) -> None:
    before = [tasks[source].state for source in shape[key].upstream]
    if key == ON_FAILURE and all(state in SETTLED for state in before) and tasks[key].state == WAITING:
        failed = any(state in (FAILED, BLOCKED) for state in before)
        if cancelling or not failed:
            tasks[key] = replace(tasks[key], state=SKIPPED)


def _verdict(node: ShapeNode, tasks: Mapping[str, Task]) -> str:
    """``blocked`` or ``skipped`` when the node can never run, else ``""``."""
    states = {tasks[source].state for source in node.required}
    if states & BAD:
        return BLOCKED
    if SKIPPED in states:
        return SKIPPED
    for options in node.alternatives:
        every = [[tasks[source].state for source in option] for option in options]
        if all(state in SETTLED for option in every for state in option) and not any(
            all(state in DONE for state in option) for option in every
        ):
            return BLOCKED if any(state in BAD for option in every for state in option) else SKIPPED
    return ""


def _expect(tasks: Mapping[str, Task], name: str, states: tuple[str, ...]) -> None:
    task = tasks.get(name)
    if task is None or task.state not in states:
        found = "unknown" if task is None else task.state
        raise PipelineError(f"task {name!r} is {found}, expected {' or '.join(states)}")
