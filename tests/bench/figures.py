"""What a benchmark returns, and how it is timed."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

MARK = "FIGURES "


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured contender of a workload.

    Attributes:
        workload: Name and size of the work.
        who: ``raylake``, a peer, or ``limit`` (the least that the machine needs).
        value: Median over the repetitions.
        unit: ``s``, ``us``, ``rows/s``, ``requests/s``.
        better: ``lower`` or ``higher``.
        spread: Largest divided by smallest of the repetitions.
    """

    workload: str
    who: str
    value: float
    unit: str
    better: str
    spread: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able copy."""
        return asdict(self)


def timed(
    workload: str, who: str, work: Callable[[], object], *, repeat: int = 3, per: int = 1, unit: str = "s"
) -> Figure:
    """Run `work` once to warm up and `repeat` times; the median time, divided by `per` operations."""
    work()
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) / per)
    scale = 1e6 if unit == "us" else 1.0
    return Figure(workload, who, statistics.median(taken) * scale, unit, "lower", max(taken) / min(taken))


def rate(workload: str, who: str, work: Callable[[], int], *, unit: str, repeat: int = 3) -> Figure:
    """Run `work`, which returns how much it did, and report the median per second."""
    work()
    found = []
    for _ in range(repeat):
        start = time.perf_counter()
        done = work()
        found.append(done / (time.perf_counter() - start))
    return Figure(workload, who, statistics.median(found), unit, "higher", max(found) / min(found))


def emit(figures: list[Figure]) -> None:
    """Print figures for the parent process, which finds them with `read_emitted`."""
    print(MARK + json.dumps([figure.as_dict() for figure in figures]), flush=True)


def read_emitted(output: str) -> list[Figure]:
    """The figures that a child process emitted last in its output (none when it did not)."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    return [Figure(**made) for made in json.loads(lines[-1].removeprefix(MARK))] if lines else []
