"""What is known of runs and their steps: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..core import Node


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a step: its number, when it ran (UTC), where, why it failed, digest of what it printed."""

    number: int
    started_at: datetime | None
    ended_at: datetime | None
    where: str = ""
    error: str = ""
    log: str | None = None


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run, or one item of a mapped one.

    Attributes:
        key: The node's key, with ``[index]`` for an item.
        state: ``waiting``, ``running``, ``retrying``, ``finished``, ``cached``, ``skipped``, ``failed``,
            ``blocked`` (something before it failed) or ``cancelled``.
        attempt: Number of the newest attempt.
        failures: Attempts that ended in an error of the step.
        crashes: Attempts whose worker died.
        generation: How often it was run again after it had finished.
        width: Items of a mapped node, or ``None``.
        output: Digest of the output.
        inputs: Input to digest or text of its value.
        reads: Lineage nodes that it read.
        writes: Lineage nodes that it wrote.
        error: Why the newest attempt failed.
        attempts: All attempts that have ended.
        started_at: Start of the newest attempt.
        ended_at: End of it.
    """

    key: str
    state: str
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    generation: int = 0
    width: int | None = None
    output: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    error: str = ""
    attempts: tuple[Attempt, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Duration of the newest attempt, or ``None`` while it runs."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One execution of a pipeline.

    Attributes:
        id: 32 hexadecimal digits.
        pipeline: The pipeline's name.
        version: Number of the pipeline's version that it was started with.
        state: ``queued``, ``running``, ``paused``, ``finished``, ``failed``, ``cancelled`` or ``skipped``.
        params: Its parameters, as JSON.
        schedule: Name of the schedule that started it, or ``""``.
        due_at: When it was due by that schedule.
        pool: The pool whose slots it takes.
        priority: Higher ones start first.
        group: What it shares its pool fairly as.
        error: Why it failed, or ``""``.
        created_at: When it was created.
        started_at: First start.
        ended_at: End.
        steps: Its steps, in topological order; empty in lists.
        graph: The pipeline's description, as JSON; empty in lists.
    """

    id: str
    pipeline: str
    version: int
    state: str
    params: dict[str, Any]
    schedule: str
    due_at: datetime | None
    pool: str
    priority: int
    group: str
    error: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    steps: tuple[StepRun, ...] = ()
    graph: tuple[Mapping[str, Any], ...] = ()

    @property
    def node(self) -> Node:
        """The vertex of the run among the events."""
        return Node("pipeline", self.pipeline, self.id)

    @property
    def seconds(self) -> float | None:
        """Time from the first start to the end, or ``None``."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    def step(self, key: str) -> StepRun:
        """One of the steps.

        Raises:
            NotFound: There is no such step.
        """
        from ..core import NotFound

        for each in self.steps:
            if each.key == key:
                return each
        raise NotFound(f"run {self.id} has no step {key!r}; it has {', '.join(s.key for s in self.steps[:20])}")

    def _repr_html_(self) -> str:
        from .run_page import run_html

        return run_html(self)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure handler gets.

    Attributes:
        run_id: The run.
        pipeline: Its pipeline.
        errors: Key of each failed step to its error.
    """

    run_id: str
    pipeline: str
    errors: Mapping[str, str]
