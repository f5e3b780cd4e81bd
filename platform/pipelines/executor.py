"""Where tasks run: on Ray. The protocol is small, so that tests can run them in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..core import ComputeUnavailable
from .step import StepOptions
from .worker import Call, Outcome, execute

if TYPE_CHECKING:
    import ray


CAPACITY_SECONDS = 5.0  # how long the cluster's size is taken as known


@dataclass(frozen=True, slots=True)
class Done:
    """A task that ended.

    Attributes:
        task: The task.
        outcome: What the worker told; ``None`` when it died.
        value: A handle on the output, to be passed to later tasks; ``None`` when there is none.
        crash: Why the worker died, or ``""``.
        final: Whether running it again is of no use.
    """

    task: str
    outcome: Outcome | None
    value: Any = None
    crash: str = ""
    final: bool = False


class Executor(Protocol):
    """Runs tasks. Not thread-safe: each driver has its own."""

    def check(self, step: str, options: StepOptions) -> None:
        """Raise `ComputeUnavailable` when no node could ever run the step."""

    def capacity(self) -> int:
        """How many tasks are worth submitting at once."""

    def submit(self, call: Call, values: Sequence[Any], options: StepOptions) -> None:
        """Start a task; `values` are handles that `wait` gave."""

    def wait(self, timeout: float) -> list[Done]:
        """Tasks that have ended, after at most `timeout` seconds; each is told once."""

    def fetch(self, value: Any) -> Any:
        """The value behind a handle."""

    def cancel(self, task: str, *, force: bool) -> None:
        """Interrupt a task; `force` kills its worker."""


class RayExecutor:
    """Tasks as Ray tasks; outputs stay in the object store and travel by reference."""

    def __init__(self, pipeline: str) -> None:
        import ray

        self._ray = ray
        self._pipeline = pipeline
        self._running: dict[ray.ObjectRef[Any], tuple[str, Any]] = {}
        self._remote: dict[int, Any] = {}
        self._room, self._stale = 0, 0.0
        self._options: list[StepOptions] = []  # keeps the ids in `_remote` alive

    def check(self, step: str, options: StepOptions) -> None:
        """See `Executor`."""
        wanted = wanted_resources(options)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if any(all(node.get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
            return
        asked = ", ".join(f"{name} {amount:g}" for name, amount in wanted.items())
        raise ComputeUnavailable(
            f"step {step!r} asks for {asked}, which no node of the cluster has; the nodes have: "
            + "; ".join(_shown(node) for node in nodes)
            + ". Ask for less, or add a node"
        )

    def capacity(self) -> int:
        """See `Executor`: some more than the CPUs, so that no worker waits for its next task."""
        if time.monotonic() > self._stale:
            cpus = self._ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
            self._room, self._stale = max(16, 4 * int(cpus)), time.monotonic() + CAPACITY_SECONDS
        return self._room

    def submit(self, call: Call, values: Sequence[Any], options: StepOptions) -> None:
        """See `Executor`."""
        remote = self._remote.get(id(options))
        if remote is None:
            remote = self._remote[id(options)] = self._configured(call, options)
            self._options.append(options)
        told, value = remote.remote(call, *values)
        self._running[told] = (call.task, value)

    def wait(self, timeout: float) -> list[Done]:
        """See `Executor`."""
        refs = list(self._running)
        if not refs:
            return []
        done, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
        if not done and timeout > 0:
            done, _ = self._ray.wait(refs, num_returns=1, timeout=timeout, fetch_local=False)
        return [self._done(ref) for ref in done]

    def fetch(self, value: Any) -> Any:
        """See `Executor`."""
        return self._ray.get(value)

    def cancel(self, task: str, *, force: bool) -> None:
        """See `Executor`."""
        for ref, (name, _) in self._running.items():
            if name == task:
                self._ray.cancel(ref, force=force)

    def _configured(self, call: Call, options: StepOptions) -> Any:
        extra: dict[str, Any] = {}
        if options.memory:
            extra["memory"] = options.memory
        if options.environment:
            extra["runtime_env"] = dict(options.environment)
        return self._ray.remote(execute).options(
            name=f"{self._pipeline}.{call.step}",
            num_returns=2,
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            resources=dict(options.resources) or None,
            max_retries=0,  # the driver decides and counts
            **extra,
        )

    def _done(self, ref: ray.ObjectRef[Any]) -> Done:
        task, value = self._running.pop(ref)
        try:
            outcome = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            final = isinstance(error, self._ray.exceptions.RuntimeEnvSetupError)
            return Done(task, None, crash=_reason(error, self._ray.exceptions), final=final)
        return Done(task, outcome, value if not outcome.error else None)


def wanted_resources(options: StepOptions) -> dict[str, float]:
    """What a step asks a node for, in Ray's names.

    Example:
        >>> wanted_resources(StepOptions(cpus=2, resources={"tpu": 1}))
        {'CPU': 2, 'tpu': 1}
    """
    named: Mapping[str, float] = {"CPU": options.cpus, "GPU": options.gpus, "memory": options.memory}
    return {name: amount for name, amount in {**named, **options.resources}.items() if amount}


def _reason(error: Exception, kinds: Any) -> str:
    if isinstance(error, kinds.OutOfMemoryError):
        return "its worker was killed because the node ran out of memory: reserve more with memory=..., or use less"
    if isinstance(error, kinds.TaskCancelledError):
        return "it was cancelled"
    if isinstance(error, kinds.RuntimeEnvSetupError):
        return f"its environment could not be set up: {str(error)[:1000]}"
    if isinstance(error, kinds.WorkerCrashedError):
        return "its worker died (killed, out of memory, or crashed in native code)"
    return f"{type(error).__name__}: {str(error)[:1000]}"


def _shown(node: Mapping[str, float]) -> str:
    plain = {name: amount for name, amount in node.items() if ":" not in name and name != "object_store_memory"}
    return ", ".join(f"{name} {amount:g}" for name, amount in sorted(plain.items()))
