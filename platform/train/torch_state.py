"""State of a network and its optimiser: saved in shards by all workers, read again by any number of them.

PyTorch's distributed checkpoint writes what each worker has, and reads it into however the weights are shared then.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from ..core import StorageError
from .background import Background
from .checkpoint_store import CheckpointStore, Saved, cannot_write
from .checkpoints import Checkpoints

# Flat, so that the stages of a pipeline each save and find their own parameters.
_OPTIONS = StateDictOptions(flatten_optimizer_state_dict=True)


def state_of(model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any]:
    """This worker's shards of weights and optimiser state."""
    weights, rest = get_state_dict(model, optimizers, options=_OPTIONS)
    return {"model": weights, "optimizer": rest}


def restore(model: nn.Module, optimizers: list[torch.optim.Optimizer], files: Mapping[str, bytes]) -> None:
    """Read the files of a checkpoint into a network and its optimisers. Called by all workers."""
    state = state_of(model, optimizers)
    with tempfile.TemporaryDirectory(prefix="raylake-checkpoint-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        load(state, storage_reader=FileSystemReader(folder), no_dist=not dist.is_initialized())
    set_state_dict(
        model, optimizers, model_state_dict=state["model"], optim_state_dict=state["optimizer"], options=_OPTIONS
    )


def whole_weights(model: nn.Module, piped: bool) -> dict[str, Tensor]:
    """All weights on the CPU of the first worker; the others get nothing of use. Called by all workers."""
    if not piped:
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        found: dict[str, Any] = get_model_state_dict(model, options=options)
        return _plain(found)
    mine = _plain(get_model_state_dict(model))
    parts: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(mine, parts)
    return {name: value for part in parts or [] for name, value in part.items()}


def _plain(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


class ShardWriter:
    """Writes checkpoints of all workers beside the training, one at a time; an error is raised by the next call."""

    def __init__(self, store: CheckpointStore, settings: Checkpoints) -> None:
        self._store, self._settings = store, settings
        self._background = Background()
        # Its own group: the training's collectives go on meanwhile.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._first = self._group is None or dist.get_rank() == 0

    def write(self, saved: Saved, state: dict[str, Any]) -> None:
        """Copy the state, then write the copy beside the training; waits for the checkpoint before."""
        self.wait()  # before the copy, so that memory holds one at most
        self._background.begin(self._write, saved, _copied(state))

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            StorageError: It could not be.
        """
        self._background.wait()

    def _write(self, saved: Saved, state: dict[str, Any]) -> None:
        error: Exception | None = None
        facts: dict[str, Any] = {}
        with tempfile.TemporaryDirectory(prefix="raylake-checkpoint-") as name:
            folder = Path(name)
            try:
                save(
                    state,
                    storage_writer=FileSystemWriter(folder),
                    process_group=self._group,
                    no_dist=self._group is None,
                )
                for path in sorted(folder.iterdir()):
                    facts[path.name] = self._store.put_file(saved, path.name, path.read_bytes())
            except CheckpointException as found:
                error = cannot_write(self._store, saved, next(iter(found.failures.values()))[0])
            except OSError as found:  # all workers must learn of it
                error = found if isinstance(found, StorageError) else cannot_write(self._store, saved, found)
        parts = [facts] if self._group is None else self._gathered(None if error else facts)
        if error is not None:
            raise error
        if self._first and None not in parts:
            self._store.complete(saved, {name: value for part in parts for name, value in part.items()})
            self._store.prune(self._settings)

    def _gathered(self, facts: dict[str, Any] | None) -> list[Any]:
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, facts, group=self._group)
        return parts


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return value.detach().clone() if isinstance(value, Tensor) else value
