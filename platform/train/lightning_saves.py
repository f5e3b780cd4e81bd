"""Lightning's checkpoints in the storage root."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist

from .checkpoint_store import CheckpointStore, Saved, newest_of
from .job import Job

_FILE = "lightning.ckpt"
_ASK_EVERY = 8  # steps between two questions whether it is time to save


class Saves(pl.Callback):
    """Saves when it is time. Lightning copies the state to a local file; the storage root gets it beside the training.

    Lightning's state is its own: weights, optimisers, loops, callbacks, and the position of our loader.
    """

    def __init__(self, job: Job, rank: int) -> None:
        self._job, self._rank = job, rank
        self._store = CheckpointStore(job.ws, job.run)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="raylake-checkpoint")
        self._last: Future[None] | None = None
        self._saved = time.monotonic()

    @contextmanager
    def before(self) -> Iterator[str | None]:
        """Path of the checkpoint to go on from, or ``None``."""
        found = newest_of(self._job.ws, self._job.run, self._job.resumes)
        if found is None:
            yield None
            return
        with tempfile.TemporaryDirectory(prefix="raylake-checkpoint-") as folder:
            for name, content in found[1].items():
                path = (
                    Path(folder) / name.replace("__", "/", 1) if name.startswith(_FILE + "__") else Path(folder) / name
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield str(Path(folder) / _FILE)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Save when it is time; all workers take part."""
        number = trainer.global_step
        if not self._due(trainer, number):
            return
        self.wait()
        folder = Path(trainer.strategy.broadcast(tempfile.mkdtemp(prefix="raylake-lightning-")))
        trainer.save_checkpoint(folder / _FILE)
        metrics = {str(name): float(value) for name, value in trainer.callback_metrics.items()}
        saved = Saved(self._job.run, number, {}, metrics)
        if self._rank == 0:
            self._last = self._pool.submit(self._write, saved, folder)
        self._saved = time.monotonic()

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            StorageError: It could not be.
        """
        if self._last is not None:
            self._last.result()

    def _due(self, trainer: Any, number: int) -> bool:
        settings = self._job.checkpoints
        if settings.every is not None:
            return number % settings.every == 0
        if number % _ASK_EVERY:
            return False
        due = time.monotonic() > self._saved + settings.seconds
        return bool(trainer.strategy.broadcast(due)) if dist.is_initialized() else due

    def _write(self, saved: Saved, folder: Path) -> None:
        try:
            paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            names = ["__".join(path.relative_to(folder).parts) for path in paths]
            self._store.put(saved, {name: path.read_bytes() for name, path in zip(names, paths, strict=True)})
            self._store.prune(self._job.checkpoints)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
