"""Steps that the parts of the registry's contract share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from hypothesis import HealthCheck, settings

from .. import registry
from ..core import Conflict, Workspace

DIGEST = "0" * 64
PROPERTY = settings(
    max_examples=40,
    deadline=None,
    # The workspace is shared by the examples on purpose: each takes names of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def finished(ws: Workspace, **metrics: float) -> registry.Run:
    """A finished run that has an artifact."""
    return registry.finish_run(ws, registry.start_run(ws, "fit", "fit").id, metrics=metrics, artifact=DIGEST)


def together(actions: Iterable[Callable[[], object]]) -> list[object]:
    """Run the actions in threads that start at the same moment; results and raylake's conflicts in order."""
    todo = list(actions)
    gate = Barrier(len(todo))

    def one(action: Callable[[], object]) -> object:
        gate.wait()
        try:
            return action()
        except Conflict as error:
            return error

    with ThreadPoolExecutor(len(todo)) as pool:
        return list(pool.map(one, todo))
