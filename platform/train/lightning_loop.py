"""A Lightning module on a Ray Train worker: Lightning's own trainer, our batches and checkpoints."""

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

from .compute import WHOLE_BATCH
from .flavours import TORCH_FILE, build_module
from .job import Fitted, Job, Rows, rank_and_workers
from .lightning_saves import Saves
from .live import log_if_training
from .stream import Position, Stream, timed
from .torch_options import module_facts, options_of
from .torch_state import whole_weights
from .trainers import Lightning

_PRECISION: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def train_lightning(job: Job) -> Fitted:
    """Train this worker's part, together with the other workers."""
    started = time.perf_counter()
    rank, workers = rank_and_workers(job)
    trainer = lightning(job)
    readers = (0, 1) if job.parallel in WHOLE_BATCH else (rank, workers)
    loader = StreamLoader(Stream(job.train, trainer.batch_size, job.seed, *readers))
    torch.set_num_threads(job.threads)
    pl.seed_everything(job.seed, verbose=False)
    module = build_module(trainer.module, options_of(job, trainer))
    _weigh(module, loader.share)
    history = History()
    saves = Saves(job, rank)
    engine = pl.Trainer(
        max_epochs=trainer.max_epochs,
        accelerator="gpu" if job.gpu else "cpu",
        callbacks=[history, saves],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        precision=_PRECISION[job.precision],
        **_together(job, module, workers),
    )
    loaders: dict[str, Any] = {"train_dataloaders": loader}
    if job.valid is not None and _overrides(module, "validation_step"):
        loaders["val_dataloaders"] = StreamLoader(Stream(job.valid, trainer.batch_size, None, *readers))
    loaded = time.perf_counter()
    with saves.before() as checkpoint:
        engine.fit(module, **loaders, ckpt_path=checkpoint)
    saves.wait()
    state = whole_weights(module, piped=False)
    return Fitted(
        file=TORCH_FILE,
        content=save(state) if rank == 0 else b"",
        rounds=len(history.values.get("train_loss", ())),
        history=history.values,
        load_seconds=loaded - started,
        train_seconds=time.perf_counter() - loaded,
        wait_seconds=loader.waited,
        flavour="torch",
        facts=module_facts(job, trainer),
    )


def _weigh(module: Any, share: float) -> None:
    """Let the mean of the workers' losses be that of the batch when some have more of its rows than others."""
    if share == 1:
        return
    usual = module.training_step

    def training_step(*arguments: Any, **named: Any) -> Any:
        found = usual(*arguments, **named)
        return {**found, "loss": found["loss"] * share} if isinstance(found, dict) else found * share

    module.training_step = training_step


def _together(job: Job, module: Any, workers: int) -> dict[str, Any]:
    """Lightning's settings for Ray's workers (gloo on CPU); a process alone needs none."""
    if job.alone:
        return {"devices": 1}
    from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

    environment = RayLightningEnvironment()  # type: ignore[no-untyped-call]
    strategy: Any
    if job.parallel == "ddp" or workers == 1:
        strategy = RayDDPStrategy(find_unused_parameters=False)  # type: ignore[no-untyped-call]
    else:
        from .lightning_sharding import ShardingStrategy, shard_when_configured

        shard_when_configured(module, job.parallel, job.precision)
        strategy = ShardingStrategy(job.parallel, workers)
    return {"devices": "auto", "strategy": strategy, "plugins": [environment]}


def lightning(job: Job) -> Lightning:
    """The job's trainer, which must be a Lightning one."""
    if not isinstance(job.trainer, Lightning):
        raise TypeError(f"torch loop got {type(job.trainer).__name__}")
    return job.trainer


class StreamLoader:
    """A stream as Lightning's loader: an epoch each time it is iterated, and its position is part of checkpoints."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._at, self.share = stream, Position(), stream.share
        self.waited = 0.0

    def __len__(self) -> int:
        return self._stream.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = self._at.epoch
        for batch in timed(self._stream.batches(self._at, epoch + 1), self._count):
            rows, step = batch.rows, batch.position.step
            self._at = Position(epoch, step + 1) if step + 1 < self._stream.steps else Position(epoch + 1)
            yield torch.from_numpy(rows.inputs), torch.from_numpy(rows.labels)

    def _count(self, seconds: float) -> None:
        self.waited += seconds

    def state_dict(self) -> dict[str, int]:
        """The next batch."""
        return {"epoch": self._at.epoch, "step": self._at.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on there."""
        self._at = Position(state["epoch"], state["step"])


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
        found = {"train_loss": loss, **{str(name): float(value) for name, value in trainer.callback_metrics.items()}}
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)
        log_if_training(trainer.current_epoch + 1, found)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"values": self.values, "losses": [float(loss) for loss in self._losses]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it."""
        self.values = state_dict["values"]
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]


def _overrides(module: Any, name: str) -> bool:
    return getattr(type(module), name) is not getattr(pl.LightningModule, name)
