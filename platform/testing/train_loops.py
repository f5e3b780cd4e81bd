"""Loops of their own that tests run inside Ray's workers, by import path; some break what they run on."""

from __future__ import annotations

import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load

from .. import train
from ..train.torch_loop import losses_of, run_epochs, train_torch
from ..train.work import Work

MODES = ("ddp", "fsdp", "tensor", "pipeline", "gpipe")


def sgd(work: Work) -> None:
    """The loop of the documentation."""
    optimizer = work.optimize(torch.optim.SGD(work.model.parameters(), lr=0.1, momentum=0.9))
    for batch in work.batches():
        loss = F.binary_cross_entropy_with_logits(work.model(batch.x), batch.y)
        optimizer.zero_grad()
        (loss * batch.share).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        work.done(batch, loss)


def weights_of(content: bytes) -> list[float]:
    """All weights of a safetensors file, by their names."""
    found = load(content) if content else {}
    return [float(value) for name in sorted(found) for value in found[name].reshape(-1)]


def every_mode(work: Work) -> None:
    """Train in each mode inside one worker group, and hand the weights over as a history."""
    from ..train.lightning_loop import train_lightning

    job = replace(work.job, trainer=replace(work.trainer, loop=None), run=f"{work.job.run}-modes")
    found: dict[str, Any] = {}
    for mode in MODES:
        fitted = train_torch(replace(job, parallel=mode, run=f"{job.run}-{mode}"))
        found[mode] = weights_of(fitted.content)
        found[f"{mode}_loss"] = fitted.history["valid_loss"]
    given = work.trainer
    network = train.MLP((16, 8), epochs=given.epochs, lr=given.lr, batch_size=given.batch_size)
    for mode in ("ddp", "fsdp", "tensor"):
        found[f"lightning-{mode}"] = weights_of(train_lightning(replace(job, trainer=network, parallel=mode)).content)
    work.history.update(found)


def killed_once(work: Work) -> None:
    """As ours, but the first time `kill -9` comes in the second epoch; tells where each attempt began."""
    places = Path(work.job.ws.root) / "places"
    usual, first = work.done, not places.exists()

    def done(batch: Any, loss: Any) -> None:
        with places.open("a") as stream:
            stream.write(f"{batch.position.epoch} {batch.position.step}\n")
        usual(batch, loss)
        if first and batch.position.epoch == 1 and batch.position.step == 3:
            work.close()
            os.kill(os.getpid(), signal.SIGKILL)

    work.done = done  # type: ignore[method-assign]
    run_epochs(work, losses_of(work.trainer, work.job.task))


def slow(work: Work) -> None:
    """As ours, a tenth of a second a step."""
    usual = work.done

    def done(batch: Any, loss: Any) -> None:
        time.sleep(0.1)
        usual(batch, loss)

    work.done = done  # type: ignore[method-assign]
    run_epochs(work, losses_of(work.trainer, work.job.task))


def full_disk(work: Work) -> None:
    """As ours, on a disk that takes a kilobyte more."""
    before, usual = resource.getrlimit(resource.RLIMIT_FSIZE), work.done

    def done(batch: Any, loss: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        usual(batch, loss)

    work.done = done  # type: ignore[method-assign]
    try:
        run_epochs(work, losses_of(work.trainer, work.job.task))
        work.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def hungry(work: Work) -> None:
    """Wants more memory than there is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, before[1]))
    try:
        torch.zeros(64 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
