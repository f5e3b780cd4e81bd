"""What a training worker is given, and how it gets its rows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..core import DataError, Workspace
from ..data import FittedRecipe
from ..data import table as read_table
from .labels import labels_of
from .plan import Split, prepare
from .trainer import Trainer

if TYPE_CHECKING:
    import ray.data

TRAIN, VALID = "train", "valid"
WAIT_POLICY = ("OMP_WAIT_POLICY", "passive")


@dataclass(frozen=True, slots=True)
class Job:
    """One fit, as every worker sees it. Picklable.

    Attributes:
        ws: The workspace.
        table: Pinned training table.
        columns: Input columns before the recipe.
        label: Label column.
        event_time: Column that the split is made by.
        task: ``binary``, ``multiclass`` or ``regression``.
        split: Training and validation rows.
        recipe: The fitted recipe as JSON, or ``""``.
        matrix_columns: Columns after the recipe.
        trainer: What to fit.
        seed: Seed of everything random.
        workers: Number of workers; one reads the table itself, more get shards through Ray Data.
        threads: Threads of each worker.
        gpu: Whether each worker has a GPU.
        classes: The labels in the order of their numbers; empty for regression.
    """

    ws: Workspace
    table: str
    columns: tuple[str, ...]
    label: str
    event_time: str
    task: str
    split: Split
    recipe: str
    matrix_columns: tuple[str, ...]
    trainer: Trainer
    seed: int
    workers: int
    threads: int
    gpu: bool
    classes: tuple[int | str, ...] = ()


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
    flavour: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)
    output: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs float32 (n, columns) and labels float32 (n,) of one worker; labels of classes are their numbers."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


def share_cores() -> None:
    """Let this process's OpenMP threads sleep while they wait; call it before xgboost or torch is loaded.

    By default they spin. On a machine whose cores are busy with something else (a replica that serves, another
    trial) spinning made two threads slower than one: 50 rounds took 6.4 s instead of 2.0 s.
    """
    os.environ.setdefault(*WAIT_POLICY)


def datasets(job: Job) -> dict[str, ray.data.Dataset]:
    """The training and validation rows as pinned Ray Datasets, to be split over the workers; none for one worker."""
    if job.workers == 1:
        return {}
    from ..data import read

    columns = _columns(job)
    recipe = FittedRecipe.from_json(job.recipe) if job.recipe else None
    found = {TRAIN: read(job.ws, job.table, columns=columns, filter=job.split.training(job.event_time))}
    if recipe is not None:
        found[TRAIN] = recipe.training_rows(found[TRAIN])
    chosen = job.split.validation(job.event_time)
    if chosen is not None:
        found[VALID] = read(job.ws, job.table, columns=columns, filter=chosen)
    return found


def worker_rows(job: Job) -> tuple[Rows, Rows | None]:
    """This worker's share of the training rows and of the validation rows (``None`` without validation)."""
    recipe = FittedRecipe.from_json(job.recipe) if job.recipe else None
    chosen = job.split.validation(job.event_time)
    if job.workers == 1:
        train = _read(job, job.split.training(job.event_time))
        train = train if recipe is None else recipe.training_rows(train)
        valid = None if chosen is None else _read(job, chosen)
    else:
        train = _shard(TRAIN)
        valid = None if chosen is None else _shard(VALID)
    return _rows(job, recipe, train, True), None if valid is None else _rows(job, recipe, valid, False)


def _read(job: Job, chosen: object) -> pa.Table:
    return read_table(job.ws, job.table, columns=_columns(job), filter=chosen)


def _columns(job: Job) -> list[str]:
    # The same everywhere: which of several equal rows a recipe keeps is decided by a hash of the row.
    return list(dict.fromkeys((*job.columns, job.label, job.event_time)))


def _shard(name: str) -> pa.Table:
    import ray.train

    shard = ray.train.get_dataset_shard(name)
    blocks = list(shard.iter_batches(batch_size=None, batch_format="pyarrow"))
    if not blocks:
        raise DataError(f"this worker got 0 rows of the {name} data: use fewer workers for so few rows")
    return pa.concat_tables(blocks)


def _rows(job: Job, recipe: FittedRecipe | None, table: pa.Table, training: bool) -> Rows:
    inputs = prepare(table.select(list(job.columns)), recipe, job.matrix_columns, training=training)
    return Rows(inputs, labels_of(table.column(job.label), job.classes))
