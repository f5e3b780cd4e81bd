"""What a PyTorch loop is given on each worker: the network, its batches, logging and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..core import TrainingFailed
from .checkpoint_store import CheckpointStore, Saved, newest_of
from .compute import WHOLE_BATCH
from .flavours import build_module
from .job import Job, rank_and_workers
from .live import log_if_training
from .parallel import Pipeline, shared
from .stream import Position, Stream, timed
from .torch_options import options_of
from .torch_state import ShardWriter, restore, state_of
from .torch_trainer import Torch

_ASK_EVERY = 8  # steps between two questions whether it is time to save
_POINTS = 100  # values of the loss that are logged of an epoch
_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}


@dataclass(frozen=True, slots=True)
class TorchBatch:
    """A worker's rows of one batch, on its device.

    Attributes:
        x: Inputs float32 (n, columns).
        y: Labels float32 (n,).
        position: Epoch and step, zero-based.
        share: What to multiply this worker's mean loss by so that the mean over workers is that of the whole batch;
            1 when all workers have as many rows.
        last: Whether it ends the epoch.
    """

    x: Tensor
    y: Tensor
    position: Position
    share: float
    last: bool


class Work:
    """One worker's part of a fit.

    A loop of your own takes it as its only argument::

        def loop(work):
            optimizer = work.optimize(torch.optim.SGD(work.model.parameters(), lr=0.1))
            for batch in work.batches():
                loss = F.binary_cross_entropy_with_logits(work.model(batch.x), batch.y)
                optimizer.zero_grad()
                (loss * batch.share).backward()
                optimizer.step()
                work.done(batch, loss)

    Attributes:
        job: The fit.
        rank: This worker.
        workers: How many there are.
        device: Where the network is.
        model: The network, shared as `Compute.parallel` says; in a pipeline this worker's stage.
        pipeline: The pipeline, or ``None``.
        readers: This worker among those that share the rows, and how many they are.
        history: Mean ``train_loss`` of each epoch, and what `record` was given.
        waited: Seconds that the loop waited for rows.
    """

    def __init__(self, job: Job, losses: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.job, self.trainer = job, _torch(job)
        self.rank, self.workers = rank_and_workers(job)
        torch.set_num_threads(job.threads)
        torch.manual_seed(job.seed)
        self.device = _device(job)
        self.history: dict[str, list[float]] = {}
        self.waited = 0.0
        self.pipeline: Pipeline | None = None
        self.model = self._build(losses)
        self._together = self.workers > 1
        whole = job.parallel in WHOLE_BATCH
        self.readers = (0, 1) if whole else (self.rank, self.workers)
        self.stream = Stream(job.train, self.trainer.batch_size, job.seed, *self.readers)
        self._writer = ShardWriter(CheckpointStore(job.ws, job.run), job.checkpoints)
        self._optimizers: list[torch.optim.Optimizer] = []
        self._start = Position()
        self._saved, self._metrics = time.monotonic(), dict[str, float]()
        self._losses: list[float] = []

    def optimize(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Make the optimiser part of checkpoints; when the run resumes, its state and the network's are restored."""
        self._optimizers.append(optimizer)
        found = newest_of(self.job.ws, self.job.run, self.job.resumes)
        if self._together:
            # All workers must take the same one, whatever is being written or removed meanwhile.
            number = [None if found is None else (found[0].run, found[0].number)]
            dist.broadcast_object_list(number, src=0)
            found = _named(self.job, number[0], found)
        if found is not None:
            saved, files = found
            restore(self.model, self._optimizers, files)
            self._start = Position(saved.state["epoch"], saved.state["step"])
            self.history = {name: list(values) for name, values in saved.state["history"].items()}
            self._losses = list(saved.state["losses"])
        return optimizer

    def batches(self) -> Iterator[TorchBatch]:
        """Batches of all epochs from where the run is; randomness of a step depends on its position only."""
        steps = self.stream.steps
        for batch in timed(self.stream.batches(self._start, self.trainer.epochs), self._count):
            at = batch.position
            rows = batch.rows
            seed = ((self.job.seed * 1_000_003 + at.epoch) * 1_000_003 + at.step) * 8191 + self.readers[0]
            torch.manual_seed(seed % 2**63)
            x, y = torch.from_numpy(rows.inputs), torch.from_numpy(rows.labels)
            yield TorchBatch(x.to(self.device), y.to(self.device), at, self.stream.share, at.step + 1 == steps)

    def _count(self, seconds: float) -> None:
        self.waited += seconds

    def done(self, batch: TorchBatch, loss: Tensor | float) -> None:
        """Say that a batch is trained on: checks and logs its mean loss, and saves when it is time.

        Raises:
            TrainingFailed: The loss is not finite.
        """
        value, at = float(loss.detach() if isinstance(loss, Tensor) else loss), batch.position
        if not math.isfinite(value):
            raise TrainingFailed(
                f"loss became {value} in epoch {at.epoch + 1}, step {at.step + 1}: lower lr, scale the inputs; "
                "checkpoints hold the state before"
            )
        self._losses.append(value * batch.share)
        number = at.epoch * self.stream.steps + at.step + 1
        if number % max(1, self.stream.steps // _POINTS) == 0:
            log_if_training(number, {"loss": value})
        if batch.last:
            self.record(at.epoch + 1, train_loss=self.mean(sum(self._losses), len(self._losses)))
            self._losses = []
        if self._due(number):
            self._save(number, at)

    def record(self, epoch: int, **metrics: float) -> None:
        """Keep and log metrics of an epoch, one-based.

        Raises:
            TrainingFailed: A value is not finite.
        """
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise TrainingFailed(f"{name} became {value} in epoch {epoch}: lower lr, scale the inputs")
        self._metrics |= metrics
        log_if_training(epoch, metrics)
        for name, value in metrics.items():
            self.history.setdefault(name, []).append(value)

    def mean(self, total: float, count: float) -> float:
        """The mean over all workers of sums and counts that each has."""
        if not self._together:
            return total / count
        found = torch.tensor([total, count], dtype=torch.float64, device=self.device)
        dist.all_reduce(found)
        return float(found[0] / found[1])

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes in the asked precision."""
        kind = _DTYPES.get(self.job.precision)
        return torch.autocast(self.device.type, dtype=kind, enabled=kind is not None and self.job.parallel != "fsdp")

    def close(self) -> None:
        """Wait for the checkpoint that is being written."""
        self._writer.wait()

    def _build(self, losses: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
        job, trainer = self.job, self.trainer
        columns = len(job.matrix_columns)
        module: nn.Module = build_module(trainer.module, options_of(job, trainer)).to(self.device)
        if self.workers == 1:
            return module
        if job.parallel in ("pipeline", "gpipe"):
            self.pipeline = Pipeline(module, columns, trainer.batch_size, losses, self.device, job.parallel)
            return self.pipeline.stage
        return shared(module, job.parallel, self.device, job.precision)

    def _due(self, number: int) -> bool:
        settings = self.job.checkpoints
        if settings.every is not None:
            return number % settings.every == 0
        if number % _ASK_EVERY:
            return False
        flag = torch.tensor(int(time.monotonic() > self._saved + settings.seconds), device=self.device)
        if self._together:
            dist.broadcast(flag, src=0)
        return bool(flag)

    def _save(self, number: int, at: Position) -> None:
        after = Position(at.epoch, at.step + 1) if at.step + 1 < self.stream.steps else Position(at.epoch + 1)
        state = {"epoch": after.epoch, "step": after.step, "history": self.history, "losses": self._losses}
        copied = {**state, "history": {name: list(values) for name, values in self.history.items()}}
        saved = Saved(self.job.run, number, {**copied, "losses": list(self._losses)}, dict(self._metrics))
        self._writer.write(saved, state_of(self.model, self._optimizers))
        self._saved = time.monotonic()


def _named(job: Job, wanted: Any, found: Any) -> Any:
    """The checkpoint that the first worker chose."""
    if wanted is None or (found is not None and (found[0].run, found[0].number) == tuple(wanted)):
        return None if wanted is None else found
    store = CheckpointStore(job.ws, wanted[0])
    saved = next((saved for saved in store.all() if saved.number == wanted[1]), None)
    files = None if saved is None else store.read(saved)
    if saved is None or files is None:
        raise TrainingFailed(
            f"checkpoint {wanted[1]} of run {wanted[0]} cannot be read on this worker: is the root shared?"
        )
    return saved, files


def _device(job: Job) -> torch.device:
    if not job.gpu:
        return torch.device("cpu")
    if job.alone:
        return torch.device("cuda")
    import ray.train.torch

    found: torch.device = ray.train.torch.get_device()
    return found


def _torch(job: Job) -> Torch:
    if not isinstance(job.trainer, Torch):
        raise TypeError(f"torch loop got {type(job.trainer).__name__}")
    return job.trainer
