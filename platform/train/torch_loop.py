"""A Lightning module on a Ray Train worker; more workers train data-parallel (DDP)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from safetensors.torch import save
from torch import Tensor

from .flavours import TORCH_FILE, build_module
from .job import Fitted, Job, Rows, worker_rows
from .torch_options import module_options
from .trainers import Lightning


def train_torch(job: Job) -> Fitted:
    """Load this worker's rows and train, together with the other workers."""
    started = time.perf_counter()
    train, valid = worker_rows(job)
    loaded = time.perf_counter()
    module, history = run_epochs(job, train, valid)
    state = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    return Fitted(
        file=TORCH_FILE,
        content=save(state),
        rounds=len(history.get("train_loss", ())),
        history=history,
        load_seconds=loaded - started,
        train_seconds=time.perf_counter() - loaded,
        flavour="torch",
        facts=_facts(job),
    )


def _facts(job: Job) -> dict[str, Any]:
    """What the torch flavour needs to build the module again."""
    trainer = lightning(job)
    options = module_options(trainer, len(job.matrix_columns), job.task, len(job.classes))
    return {"file": TORCH_FILE, "module": trainer.module, "options": options}


def run_epochs(job: Job, train: Rows, valid: Rows | None) -> tuple[Any, dict[str, list[float]]]:
    """Train for all epochs; returns the module and per-epoch history."""
    trainer = lightning(job)
    torch.set_num_threads(job.threads)
    pl.seed_everything(job.seed, verbose=False)
    module = build_module(trainer.module, module_options(trainer, len(job.matrix_columns), job.task, len(job.classes)))
    history = History()
    engine = pl.Trainer(
        max_epochs=trainer.max_epochs,
        accelerator="gpu" if job.gpu else "cpu",
        callbacks=[history],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **_together(job),
    )
    share = max(1, trainer.batch_size // job.workers)
    loaders: dict[str, Any] = {"train_dataloaders": Batches(train, share, job.seed)}
    if valid is not None and _overrides(module, "validation_step"):
        loaders["val_dataloaders"] = Batches(valid, share)
    engine.fit(module, **loaders)
    return module, history.values


def _together(job: Job) -> dict[str, Any]:
    """Lightning's settings for DDP over Ray's workers (gloo on CPU); one worker needs none."""
    if job.workers == 1:
        return {"devices": 1}
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

    strategy = RayDDPStrategy(find_unused_parameters=False)  # type: ignore[no-untyped-call]
    environment = RayLightningEnvironment()  # type: ignore[no-untyped-call]
    return {"devices": "auto", "strategy": strategy, "plugins": [environment]}


def lightning(job: Job) -> Lightning:
    """The job's trainer, which must be a Lightning one."""
    if not isinstance(job.trainer, Lightning):
        raise TypeError(f"torch loop got {type(job.trainer).__name__}")
    return job.trainer


class Batches:
    """Batches of in-memory rows; with a seed they are shuffled anew, reproducibly, in each pass.

    Slicing whole batches is ten times faster than a DataLoader that collates row by row.
    """

    def __init__(self, rows: Rows, size: int, seed: int | None = None) -> None:
        if np.isnan(rows.inputs).any():
            raise ValueError("the inputs hold missing values after the recipe: add data.Impute for these columns")
        # Copies: rows from Ray's object store are read-only.
        self._inputs, self._labels = torch.tensor(rows.inputs), torch.tensor(rows.labels)
        self._size = size
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count = len(self._labels)
        order = torch.arange(count)
        if self._generator is not None:
            order = torch.randperm(count, generator=self._generator)
        for start in range(0, count, self._size):
            chosen = order[start : start + self._size]
            yield self._inputs[chosen], self._labels[chosen]


class History(pl.Callback):
    """Mean training loss of each epoch, and whatever the module logs; stops the run on a loss that is not finite."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self._losses: list[Tensor] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Keep the batch's loss."""
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Close the epoch."""
        loss = float(torch.stack(self._losses).mean())
        self._losses.clear()
        if not math.isfinite(loss):
            raise ValueError(
                f"loss became {loss} in epoch {trainer.current_epoch}: lower the learning rate, scale the inputs"
            )
        self.values.setdefault("train_loss", []).append(loss)
        for name, value in trainer.callback_metrics.items():
            self.values.setdefault(str(name), []).append(float(value))


def _overrides(module: Any, name: str) -> bool:
    return getattr(type(module), name) is not getattr(pl.LightningModule, name)
