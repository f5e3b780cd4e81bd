"""What a training worker is given, and how it gets its rows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ..core import DataError, Workspace
from .checkpoints import Checkpoints
from .prepared import Part, Reader, Rows, share
from .trainer import Trainer

__all__ = ["Fitted", "Job", "Rows", "share_cores", "worker_rows"]

WAIT_POLICY = ("OMP_WAIT_POLICY", "passive")


@dataclass(frozen=True, slots=True)
class Job:
    """One fit, as every worker sees it. Picklable; holds no rows.

    Attributes:
        ws: The workspace.
        run: Id of the run.
        train: The training rows.
        valid: The validation rows, or ``None``.
        task: ``binary``, ``multiclass`` or ``regression``.
        trainer: What to fit.
        seed: Seed of everything random.
        alone: Whether one process trains, without a group; it may spread work of its own over `workers`.
        workers: Number of workers; of an elastic group the smallest.
        threads: Threads of each worker.
        gpu: Whether each worker has a GPU.
        parallel: How workers share a network.
        precision: Of a network's arithmetic.
        checkpoints: When to save, and what to keep.
        resumes: Id of the run whose checkpoints to begin with, or ``""``.
    """

    ws: Workspace
    run: str
    train: Part
    valid: Part | None
    task: str
    trainer: Trainer
    seed: int
    alone: bool
    workers: int
    threads: int
    gpu: bool
    parallel: str
    precision: str
    checkpoints: Checkpoints
    resumes: str = ""

    @property
    def matrix_columns(self) -> tuple[str, ...]:
        """Columns after the recipe."""
        return self.train.matrix_columns

    @property
    def classes(self) -> tuple[int | str, ...]:
        """The labels in the order of their numbers; empty for regression."""
        return self.train.classes


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the first worker hands over.

    Attributes:
        file: Name of the model file.
        content: Its bytes, in the framework's safe format.
        rounds: Boosting rounds or epochs.
        history: Per metric name such as ``valid_logloss``, its value after each round.
        load_seconds: Time to read and prepare the rows.
        train_seconds: Time of the training itself.
        wait_seconds: Time of the training that was spent waiting for rows.
        flavour: How the file is stored; default the trainer's.
        facts: What the flavour says about the file.
        usage: What the worker used: ``cpu_seconds``, ``peak_memory_bytes``, ...
        output: What it printed and logged.
    """

    file: str
    content: bytes
    rounds: int
    history: dict[str, list[float]]
    load_seconds: float
    train_seconds: float
    wait_seconds: float = 0.0
    flavour: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    output: str = ""


def share_cores() -> None:
    """Let this process's OpenMP threads sleep while they wait; call it before xgboost or torch is loaded.

    By default they spin. On a machine whose cores are busy with something else (a replica that serves, another
    trial) spinning made two threads slower than one: 50 rounds took 6.4 s instead of 2.0 s.
    """
    os.environ.setdefault(*WAIT_POLICY)


def rank_and_workers(job: Job) -> tuple[int, int]:
    """This worker's rank, and the size of its group now."""
    if job.alone:
        return 0, 1
    import ray.train

    context = ray.train.get_context()
    return context.get_world_rank(), context.get_world_size()


def worker_rows(part: Part, rank: int = 0, workers: int = 1) -> Rows:
    """This worker's equal share of the rows, in memory.

    Raises:
        DataError: There are fewer rows than workers.
    """
    first, last = share(part.rows, rank, workers)
    if first == last:
        raise DataError(f"this worker got 0 of {part.rows} rows: use fewer workers for so few rows")
    return Reader(part).span(part.groups, first, last)
