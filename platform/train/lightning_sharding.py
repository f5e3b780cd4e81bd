"""FSDP2 and tensor parallel for Lightning modules on Ray's workers, with GPUs or without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import ray.train.torch
import torch
from pytorch_lightning.strategies import ModelParallelStrategy

from .parallel import fully_sharded, tensor_parallel


class ShardingStrategy(ModelParallelStrategy):
    """Lightning's strategy for FSDP2 and DTensor, told where Ray put this worker.

    Args:
        kind: ``fsdp`` or ``tensor``.
        workers: Workers of the group.
    """

    def __init__(self, kind: str, workers: int) -> None:
        data, tensor = (workers, 1) if kind == "fsdp" else (1, workers)
        # One file of whole weights: folders of shards would need a disk that all nodes share.
        super().__init__(data_parallel_size=data, tensor_parallel_size=tensor, save_distributed_checkpoint=False)

    @property
    def root_device(self) -> torch.device:
        """This worker's device."""
        found: torch.device = ray.train.torch.get_device()
        return found

    @property
    def distributed_sampler_kwargs(self) -> dict[str, Any]:
        """Our loaders share the rows themselves."""
        mesh = self.device_mesh["data_parallel"]
        return {"num_replicas": mesh.size(), "rank": mesh.get_local_rank()}


def shard_when_configured(module: pl.LightningModule, kind: str, precision: str) -> None:
    """Shard the module when Lightning asks it to configure itself, unless its class does that by itself."""
    if getattr(type(module), "configure_model", None) is not pl.LightningModule.configure_model:
        return
    configured = False

    def configure_model() -> None:
        nonlocal configured
        if configured:
            return
        configured = True
        mesh: Any = module.device_mesh
        if kind == "fsdp":
            fully_sharded(module, mesh["data_parallel"], precision)
        else:
            tensor_parallel(module, mesh["tensor_parallel"])
            _one_by_one(module)

    module.configure_model = configure_model  # type: ignore[method-assign]


def _one_by_one(module: pl.LightningModule) -> None:
    """Whole and split parameters cannot be updated in one call: the module's optimisers take each by itself."""
    usual: Callable[[], Any] = module.configure_optimizers

    def configure_optimizers() -> Any:
        found = usual()
        for optimizer in found if isinstance(found, list | tuple) else [found]:
            for group in getattr(optimizer, "param_groups", ()):
                group["foreach"] = False
        return found

    module.configure_optimizers = configure_optimizers  # type: ignore[method-assign]
