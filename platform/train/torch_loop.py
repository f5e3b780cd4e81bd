"""PyTorch on a Ray Train worker: our loop, or one of the user's."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (everybody's name for it)
from safetensors.torch import save
from torch import Tensor

from ..core import ConfigError
from .flavours import TORCH_FILE
from .job import Fitted, Job
from .stream import Stream
from .torch_options import module_facts
from .torch_state import whole_weights
from .torch_trainer import Torch
from .work import TorchBatch, Work

Losses = Callable[[Tensor, Tensor], Tensor]
_LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
}


def train_torch(job: Job) -> Fitted:
    """Train this worker's part, together with the other workers."""
    started = time.perf_counter()
    trainer = job.trainer
    if not isinstance(trainer, Torch):
        raise TypeError(f"torch loop got {type(trainer).__name__}")
    losses = losses_of(trainer, job.task)
    work = Work(job, losses)
    loaded = time.perf_counter()
    if trainer.loop is None:
        run_epochs(work, losses)
    else:
        _named(trainer.loop, "loop")(work)
    work.close()
    weights = whole_weights(work.model, work.pipeline is not None)
    return Fitted(
        file=TORCH_FILE,
        content=save(weights) if work.rank == 0 else b"",
        rounds=len(work.history.get("train_loss", ())),
        history=work.history,
        load_seconds=loaded - started,
        train_seconds=time.perf_counter() - loaded,
        wait_seconds=work.waited,
        flavour="torch",
        facts=module_facts(job, trainer),
    )


def run_epochs(work: Work, losses: Losses) -> None:
    """Our loop: one step a batch, the validation loss after each epoch."""
    trainer = work.trainer
    optimizer = work.optimize(make_optimizer(trainer, work))
    scaler = torch.amp.GradScaler(work.device.type, enabled=work.job.precision == "16")
    valid = None
    if work.job.valid is not None:
        valid = Stream(work.job.valid, trainer.batch_size, None, *work.readers)
    for batch in work.batches():
        optimizer.zero_grad(set_to_none=True)
        loss = _backward(work, losses, batch, scaler)
        scaler.step(optimizer)
        scaler.update()
        if valid is not None and batch.last:
            work.record(batch.position.epoch + 1, valid_loss=_validate(work, losses, valid))
        work.done(batch, loss)


def make_optimizer(trainer: Torch, work: Work) -> torch.optim.Optimizer:
    """The trainer's optimiser over this worker's parameters.

    Raises:
        ConfigError: torch.optim has no such class, or it does not take these arguments.
    """
    found = getattr(torch.optim, trainer.optimizer, None)
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        raise ConfigError(f"torch.optim has no optimiser {trainer.optimizer!r}: use 'AdamW', 'SGD', 'Adam', ...")
    options: dict[str, Any] = {"lr": trainer.lr, **dict(trainer.settings)}
    if work.job.parallel == "tensor" and work.workers > 1:
        options["foreach"] = False  # whole and split parameters cannot be updated in one call
    try:
        return found(work.model.parameters(), **options)
    except TypeError as error:
        raise ConfigError(f"optimiser {trainer.optimizer!r} cannot be made with {options}: {error}") from error


def losses_of(trainer: Torch, task: str) -> Losses:
    """From outputs and labels to a loss for each row."""
    name = trainer.loss
    if name == "auto":
        name = {"binary": "bce", "multiclass": "cross_entropy"}.get(task, "mse")
    if ":" in name:
        found: Losses = _named(name, "loss")
        return found
    if name == "cross_entropy":
        return lambda outputs, labels: F.cross_entropy(outputs.float(), labels.long(), reduction="none")
    function = _LOSSES[name]
    return lambda outputs, labels: function(outputs.float(), labels, reduction="none")


def _backward(work: Work, losses: Losses, batch: TorchBatch, scaler: Any) -> Tensor:
    """Gradients of the batch's mean loss; the mean loss of this worker's rows."""
    if work.pipeline is not None:
        return work.pipeline.backward(batch.x, batch.y)
    with work.autocast():
        loss = losses(work.model(batch.x), batch.y).mean()
    scaler.scale(loss * batch.share).backward()
    return loss.detach()


@torch.no_grad()
def _validate(work: Work, losses: Losses, valid: Stream) -> float:
    if work.pipeline is None:
        work.model.eval()
    total, count = 0.0, 0
    for batch in valid.batches():
        x, y = torch.from_numpy(batch.rows.inputs).to(work.device), torch.from_numpy(batch.rows.labels).to(work.device)
        if work.pipeline is not None:
            found = work.pipeline.loss(x, y) * len(y)
        else:
            with work.autocast():
                found = losses(work.model(x), y).sum()
        total, count = total + float(found), count + len(y)
    if work.pipeline is None:
        work.model.train()
    return work.mean(total, count)


def _named(path: str, what: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{what} {path!r} cannot be imported ({error}): put its file on PYTHONPATH, or install its package"
        ) from error
