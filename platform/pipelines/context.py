"""What a running step knows about itself."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from ..core import Node, PipelineError, Workspace

_CURRENT: ContextVar[StepContext | None] = ContextVar("raylake_step_context", default=None)


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a running step knows about itself. A parameter annotated so gets it; `context` finds it anywhere.

    Attributes:
        ws: The workspace.
        run_id: The run.
        step: Key of the step, with ``[index]`` for an item of a mapped one.
        attempt: 1 for the first attempt, then rising.
        generation: 0, and one more each time the finished step is run again on purpose.
    """

    ws: Workspace
    run_id: str
    step: str
    attempt: int
    generation: int = 0
    _reads: list[str] = field(default_factory=list, repr=False)
    _writes: list[str] = field(default_factory=list, repr=False)

    @property
    def app(self) -> tuple[str, int]:
        """The step's application transaction: give it to `data.write`, and the rows are written once.

        It is the same for every attempt and for a resumed run, so what an attempt that died has committed is found
        and not committed again. A step that writes several tables may use it for each of them.

        Example:
            >>> import tempfile
            >>> StepContext(Workspace.open(tempfile.mkdtemp()), "ab12", "load", 3).app
            ('pipeline:ab12:load', 0)
        """
        return f"pipeline:{self.run_id}:{self.step}", self.generation

    def reads(self, node: Node | str) -> None:
        """Record that the step reads `node` (``table:main.flights@3``), for the diagrams."""
        self._reads.append(str(Node.parse(node) if isinstance(node, str) else node))

    def writes(self, node: Node | str) -> None:
        """Record that the step writes `node`."""
        self._writes.append(str(Node.parse(node) if isinstance(node, str) else node))


def context() -> StepContext:
    """The context of the step that runs in this thread.

    Raises:
        PipelineError: No step runs here.

    Example:
        >>> context()
        Traceback (most recent call last):
        ...
        raylake.core.errors.PipelineError: no step runs here: pipelines.context() works inside a step of a run
    """
    found = _CURRENT.get()
    if found is None:
        raise PipelineError("no step runs here: pipelines.context() works inside a step of a run")
    return found
