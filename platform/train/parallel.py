"""How Ray's workers share one PyTorch network: DDP, FSDP2, tensor and pipeline parallel.

Each function is called by all workers of a process group. Sources: DDP, https://arxiv.org/abs/2006.15704; FSDP2,
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html; tensor parallel as in Megatron-LM,
https://arxiv.org/abs/1909.08053; GPipe, https://arxiv.org/abs/1811.06965; 1F1B, https://arxiv.org/abs/2104.04473.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..core import ConfigError

_BLOCK = 65_536  # parameters of a block that is worth sharding by itself
_POINTWISE = (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.Identity, nn.Dropout)
_HALF = {"bf16": torch.bfloat16, "16": torch.float16}


def shared(module: nn.Module, kind: str, device: torch.device, precision: str = "32") -> nn.Module:
    """`module` as ``ddp``, ``fsdp`` or ``tensor`` say, over all workers of the default process group.

    Raises:
        ConfigError: Tensor parallel has nothing to split.
    """
    from torch.distributed.device_mesh import init_device_mesh

    if kind == "ddp":
        ids = [device.index or 0] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    return fully_sharded(module, mesh, precision) if kind == "fsdp" else tensor_parallel(module, mesh)


def fully_sharded(module: nn.Module, mesh: Any, precision: str = "32") -> nn.Module:
    """FSDP2: large blocks of lists and sequences by themselves, the rest together."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    half = _HALF.get(precision)
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32 if half else None)
    for parent in list(module.modules()):
        if isinstance(parent, nn.ModuleList | nn.Sequential):
            for block in parent:
                if sum(values.numel() for values in block.parameters()) >= _BLOCK:
                    fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    return module


def tensor_parallel(module: nn.Module, mesh: Any) -> nn.Module:
    """DTensor: by the module's own ``tensor_plan()``, or else each pair of linear layers by columns, then by rows.

    Raises:
        ConfigError: There is no such pair.
    """
    from torch.distributed.tensor.parallel import parallelize_module

    own = getattr(module, "tensor_plan", None)
    plan = own() if own is not None else pairs_of(module)
    if not plan:
        raise ConfigError(
            f"tensor parallel finds no two linear layers in sequence in {type(module).__name__}: give the class a "
            "method tensor_plan() (names to styles of torch.distributed.tensor.parallel), or use parallel='fsdp'"
        )
    parallelize_module(module, mesh, plan)
    return module


def pairs_of(module: nn.Module) -> dict[str, Any]:
    """A plan for pairs of linear layers in sequences with nothing but pointwise functions between.

    Example:
        >>> layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> {name: type(style).__name__ for name, style in pairs_of(layers).items()}
        {'0': 'ColwiseParallel', '2': 'RowwiseParallel'}
    """
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel

    plan: dict[str, Any] = {}
    for prefix, parent in module.named_modules():
        if not isinstance(parent, nn.Sequential):
            continue
        first: str | None = None
        for name, child in parent.named_children():
            path = f"{prefix}.{name}" if prefix else name
            if isinstance(child, nn.Linear) and first is None:
                first = path
            elif isinstance(child, nn.Linear):
                plan |= {str(first): ColwiseParallel(), path: RowwiseParallel()}
                first = None
            elif not isinstance(child, _POINTWISE):
                first = None
    return plan


def split_points(module: nn.Module, stages: int) -> list[str]:
    """Names of the children before which a pipeline is cut: blocks of the longest list or sequence, even in weights.

    Raises:
        ConfigError: There are fewer blocks with weights than stages.

    Example:
        >>> layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> split_points(nn.ModuleDict({"layers": layers}), 2)
        ['layers.2']
    """
    lists = [
        (prefix, list(parent.named_children()))
        for prefix, parent in module.named_modules()
        if isinstance(parent, nn.ModuleList | nn.Sequential)
    ]
    prefix, blocks = max(lists, key=lambda found: len(found[1]), default=("", []))
    sizes = [(name, sum(values.numel() for values in block.parameters())) for name, block in blocks]
    heavy = [(name, size) for name, size in sizes if size]
    if len(heavy) < stages:
        raise ConfigError(
            f"{type(module).__name__} has {len(heavy)} blocks with weights in its longest list or sequence, and a "
            f"pipeline of {stages} workers needs {stages}: use fewer workers, or parallel='fsdp'"
        )
    points: list[str] = []
    passed, total = 0.0, float(sum(size for _, size in heavy))
    for index, (name, size) in enumerate(heavy):
        open_stages = stages - 1 - len(points)
        full = passed + size / 2 > total * (len(points) + 1) / stages
        if index and open_stages and (full or len(heavy) - index == open_stages):
            points.append(f"{prefix}.{name}" if prefix else name)
        passed += size
    return points


class Pipeline:
    """One stage of `module` on each worker. All workers are given all rows.

    Batches are padded to one size with rows of weight 0, as the stages exchange tensors of a fixed shape. Dropout
    and batch normalisation keep the mode in which the module was traced (training).

    Args:
        module: The whole module; only this worker's stage of it is kept.
        inputs: Number of columns.
        batch: Largest batch.
        losses: From outputs and labels to a loss for each row.
        device: This worker's.
        kind: ``pipeline`` (1F1B) or ``gpipe``.
    """

    def __init__(
        self,
        module: nn.Module,
        inputs: int,
        batch: int,
        losses: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
        kind: str = "pipeline",
    ) -> None:
        from torch.distributed.pipelining import Schedule1F1B, ScheduleGPipe, SplitPoint, pipeline

        stages, self._rank = dist.get_world_size(), dist.get_rank()
        pieces = 2 * stages
        self._rows = -(-batch // pieces) * pieces
        self._device, self._last = device, self._rank == stages - 1
        points = dict.fromkeys(split_points(module, stages), SplitPoint.BEGINNING)
        example = torch.zeros(self._rows // pieces, inputs)
        pipe = pipeline(module, mb_args=(example,), split_spec=points)
        stage = pipe.build_stage(self._rank, device)
        self.stage: nn.Module = pipe.get_stage_module(self._rank)

        def loss(outputs: Tensor, target: Tensor) -> Tensor:
            return (losses(outputs, target[:, 0]) * target[:, 1]).sum()

        schedule = Schedule1F1B if kind == "pipeline" else ScheduleGPipe
        self._schedule = schedule(stage, n_microbatches=pieces, loss_fn=loss, scale_grads=False)

    def backward(self, x: Tensor, y: Tensor) -> Tensor:
        """Gradients of the mean loss into the stage's parameters; the mean loss, on every worker."""
        return self._run(self._schedule.step, x, y)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss, on every worker."""
        with torch.no_grad():
            return self._run(self._schedule.eval, x, y)

    def _run(self, work: Callable[..., Any], x: Tensor, y: Tensor) -> Tensor:
        weights = torch.full((len(y),), 1 / len(y))
        target = torch.stack([y, weights], 1)
        missing = self._rows - len(y)
        if missing:
            x = torch.cat([x, x.new_zeros(missing, x.shape[1])])
            target = torch.cat([target, target.new_zeros(missing, 2)])
        losses: list[Tensor] = []
        arguments = (x.to(self._device),) if self._rank == 0 else ()
        options = {"target": target.to(self._device), "losses": losses} if self._last else {}
        work(*arguments, **options)
        total = torch.stack(losses).sum().detach() if self._last else torch.zeros((), device=self._device)
        dist.broadcast(total, src=dist.get_world_size() - 1)
        return total
