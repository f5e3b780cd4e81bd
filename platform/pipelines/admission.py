"""Which queued runs start now: slots of pools, limits of pipelines, priorities, fair shares. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

DEFAULT_SLOTS = 16  # of a pool that nobody sized


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that waits for its turn, or has it.

    Attributes:
        seq: Order of creation.
        id: The run.
        pipeline: Its pipeline.
        pool: Its pool.
        priority: Higher ones first.
        group: What it shares the pool fairly as: its pipeline, or a back-fill.
        schedule: The schedule that made it, or ``""``.
        concurrency: Most active runs of its pipeline; ``None`` for any number.
    """

    seq: int
    id: str
    pipeline: str
    pool: str = "default"
    priority: int = 0
    group: str = ""
    schedule: str = ""
    concurrency: int | None = None


def choose(
    queued: Iterable[Candidate],
    active: Sequence[Candidate],
    slots: Mapping[str, int],
    serial: Collection[str] = (),
) -> list[Candidate]:
    """The queued runs that may start, in order.

    The highest priority first; among equals the group that has the fewest active runs in the pool; then the oldest.
    So a back-fill of thousands takes turns with the daily jobs, and has the whole pool when it is alone.

    Args:
        queued: Runs that wait.
        active: Runs that hold a slot.
        slots: Pool to its size.
        serial: Schedules of which only one run may be active.

    Example:
        >>> queue = [Candidate(n, f"b{n}", "load", group="backfill") for n in range(3)] + [Candidate(9, "d", "daily")]
        >>> [run.id for run in choose(queue, [], {"default": 2})]
        ['b0', 'd']
    """
    pools = Counter(run.pool for run in active)
    groups = Counter((run.pool, run.group) for run in active)
    pipelines = Counter(run.pipeline for run in active)
    schedules = {run.schedule for run in active if run.schedule in serial}
    waiting = sorted(queued, key=lambda run: run.seq)
    chosen: list[Candidate] = []
    while True:
        open_ = [
            run
            for run in waiting
            if pools[run.pool] < slots.get(run.pool, DEFAULT_SLOTS)
            and (run.concurrency is None or pipelines[run.pipeline] < run.concurrency)
            and run.schedule not in schedules
        ]
        if not open_:
            return chosen
        best = min(open_, key=lambda run: (-run.priority, groups[run.pool, run.group], run.seq))
        chosen.append(best)
        waiting = [run for run in open_ if run is not best]
        pools[best.pool] += 1
        groups[best.pool, best.group] += 1
        pipelines[best.pipeline] += 1
        if best.schedule in serial:
            schedules.add(best.schedule)
