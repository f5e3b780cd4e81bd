"""What resources a fit asks for, checked against the cluster before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core import ComputeUnavailable, ConfigError, Workspace, ensure_ray

GIB = 1024**3
PARALLEL = ("ddp", "fsdp", "tensor", "pipeline", "gpipe")
WHOLE_BATCH = ("tensor", "pipeline", "gpipe")  # every worker sees every row
PLACEMENT = ("pack", "spread", "strict-pack", "strict-spread")
PRECISION = ("32", "bf16", "16")
_OURS = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}


@dataclass(frozen=True, slots=True, init=False)
class Compute:
    """Resources of a fit, for each worker, and how the workers share a network.

    Attributes:
        workers: Ray workers that train side by side (default 1), or ``(least, most)``: elastic, as many of them as
            there is room for; the group shrinks when a node is lost and grows when one comes.
        cpus: CPUs of each worker, also its number of threads (default 1).
        gpus: GPUs of each worker; ``auto`` takes one if the cluster has enough, else none (default).
        memory: Heap memory of each worker in bytes, or ``None`` for no reservation.
        resources: Custom resources of each worker as sorted pairs; given as a mapping.
        placement: ``pack`` on few nodes (default), ``spread``, ``strict-pack`` on one, ``strict-spread`` one a node.
        parallel: How PyTorch workers share a network: ``ddp`` each has all of it and a part of each batch (default);
            ``fsdp`` its weights are sharded too; ``tensor`` each has a part of each layer, ``pipeline`` (1F1B) and
            ``gpipe`` some of the layers, and all see every row.
        precision: Of a network's arithmetic: ``32`` (default), ``bf16``, or ``16`` (GPUs only); weights stay float32.

    Raises:
        ConfigError: A value that means nothing.

    Example:
        >>> Compute(workers=2).total_cpus
        2
        >>> Compute(workers=(1, 4), parallel="fsdp").most
        4
    """

    workers: int | tuple[int, int]
    cpus: int
    gpus: int | str
    memory: int | None
    resources: tuple[tuple[str, float], ...]
    placement: str
    parallel: str
    precision: str

    def __init__(
        self,
        workers: int | tuple[int, int] = 1,
        cpus: int = 1,
        gpus: int | str = "auto",
        memory: int | None = None,
        resources: Mapping[str, float] | tuple[tuple[str, float], ...] = (),
        placement: str = "pack",
        parallel: str = "ddp",
        precision: str = "32",
    ) -> None:
        _check_workers(workers)
        _check_count("cpus", cpus)
        if gpus != "auto" and (not isinstance(gpus, int) or isinstance(gpus, bool) or gpus < 0):
            raise ConfigError(f"Compute(gpus={gpus!r}) is not valid: use 'auto', or a whole number of 0 or more")
        if memory is not None and memory <= 0:
            raise ConfigError(f"Compute(memory={memory!r}) is not valid: give bytes, or None for no reservation")
        for name, value, known in (
            ("placement", placement, PLACEMENT),
            ("parallel", parallel, PARALLEL),
            ("precision", precision, PRECISION),
        ):
            if value not in known:
                raise ConfigError(f"Compute({name}={value!r}) is not valid: use one of {', '.join(known)}")
        if isinstance(workers, tuple) and parallel in WHOLE_BATCH:
            raise ConfigError(f"Compute(workers={workers!r}, parallel={parallel!r}) is not valid: use a fixed number")
        given = (workers, cpus, gpus, memory, _custom(resources), placement, parallel, precision)
        for field, setting in zip(self.__slots__, given, strict=True):
            object.__setattr__(self, field, setting)

    @property
    def least(self) -> int:
        """The smallest number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most(self) -> int:
        """The largest number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def total_cpus(self) -> int:
        """CPUs of all workers together, the most that there may be."""
        return self.most * self.cpus

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; what only large jobs set is left out when it is not set."""
        workers = list(self.workers) if isinstance(self.workers, tuple) else self.workers
        found = {"workers": workers, "cpus": self.cpus, "gpus": self.gpus, "memory": self.memory}
        rest = {"resources": dict(self.resources), "placement": self.placement}
        rest |= {"parallel": self.parallel, "precision": self.precision}
        usual = {"resources": {}, "placement": "pack", "parallel": "ddp", "precision": "32"}
        return {**found, **{name: value for name, value in rest.items() if value != usual[name]}}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Compute:
        """The inverse of `to_dict`.

        Example:
            >>> Compute.from_dict(Compute(workers=(1, 2)).to_dict()) == Compute(workers=(1, 2))
            True
        """
        workers = found["workers"]
        return cls(**{**found, "workers": tuple(workers) if isinstance(workers, list) else workers})


@dataclass(frozen=True, slots=True)
class Resources:
    """What `resolve` settled on: the numbers that Ray is asked for, per worker.

    Attributes:
        workers: Number of workers; of an elastic group the smallest.
        cpus: CPUs.
        gpus: GPUs.
        memory: Heap memory in bytes, or ``None``.
        custom: Custom resources.
        placement: As in `Compute`.
        most: Largest number of workers of an elastic group, or ``None`` for a fixed one.
    """

    workers: int
    cpus: int
    gpus: int
    memory: int | None
    custom: tuple[tuple[str, float], ...] = ()
    placement: str = "pack"
    most: int | None = None

    @property
    def alone(self) -> bool:
        """Whether one process trains, for good."""
        return self.workers == 1 and self.most is None

    @property
    def bundle(self) -> dict[str, float]:
        """Resources of one worker in Ray's words."""
        found: dict[str, float] = {"CPU": self.cpus}
        if self.gpus:
            found["GPU"] = self.gpus
        if self.memory:
            found["memory"] = self.memory
        return {**found, **dict(self.custom)}


def resolve(ws: Workspace, compute: Compute) -> Resources:
    """Check `compute` against the nodes of the running cluster.

    Raises:
        ComputeUnavailable: The nodes cannot hold the workers, even when idle; the message says what they have.

    Example:
        >>> resolve(ws, Compute(cpus=1)).cpus
        1
    """
    import ray

    ensure_ray(ws)
    nodes = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    gpus = compute.gpus
    if not isinstance(gpus, int):
        gpus = int(sum(int(node.get("GPU", 0)) for node in nodes) >= compute.least)
    most = compute.most if isinstance(compute.workers, tuple) else None
    wanted = Resources(compute.least, compute.cpus, gpus, compute.memory, compute.resources, compute.placement, most)
    check_fits(wanted, nodes)
    if compute.precision == "16" and not gpus:
        raise ComputeUnavailable(
            f"precision '16' needs GPUs, and the cluster has {'; '.join(map(_describe, nodes))}: use 'bf16' or '32'"
        )
    return wanted


def check_fits(wanted: Resources, nodes: list[dict[str, float]]) -> None:
    """Raise unless `nodes` (Ray's resources of each) hold all workers.

    Raises:
        ComputeUnavailable: They do not.

    Example:
        >>> check_fits(Resources(1, 100, 0, None), [{"CPU": 2.0}])
        Traceback (most recent call last):
        ...
        raylake.core.errors.ComputeUnavailable: 1 worker(s) with 100 CPU each do not fit: the cluster has 2 CPU, ...
    """
    each = [_workers_on(node, wanted.bundle) for node in nodes]
    where = ""
    if wanted.placement == "strict-spread":
        each, where = [min(1, room) for room in each], ", one on each node,"
    elif wanted.placement == "strict-pack":
        each, where = [max(each, default=0)], ", all on one node,"
    room = sum(each)
    if room >= wanted.workers:
        return
    asked = ", ".join(_amount(name, value) for name, value in wanted.bundle.items())
    has = "; ".join(_describe(node, dict(wanted.custom)) for node in nodes) or "no node"
    raise ComputeUnavailable(
        f"{wanted.workers} worker(s) with {asked} each{where} do not fit: the cluster has {has}. "
        f"It holds {room} such worker(s): ask for less, or add nodes"
    )


def _workers_on(node: dict[str, float], bundle: dict[str, float]) -> int:
    return min(int(node.get(name, 0) // value) for name, value in bundle.items())


def _describe(node: dict[str, float], custom: Mapping[str, float] | None = None) -> str:
    return ", ".join(_amount(name, node.get(name, 0)) for name in ("CPU", "GPU", "memory", *(custom or ())))


def _amount(name: str, value: float) -> str:
    return f"{value / GIB:.1f} GiB memory" if name == "memory" else f"{value:g} {name}"


def _check_workers(workers: object) -> None:
    if not isinstance(workers, tuple):
        _check_count("workers", workers)
        return
    whole = len(workers) == 2 and all(isinstance(value, int) and not isinstance(value, bool) for value in workers)
    if not whole or not 1 <= workers[0] <= workers[1]:
        raise ConfigError(f"Compute(workers={workers!r}) is not valid: use (least, most), with 1 <= least <= most")


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"Compute({name}={value!r}) is not valid: use a whole number of 1 or more")


def _custom(resources: Mapping[str, float] | tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    found = dict(resources)
    for name, value in found.items():
        if name in _OURS:
            raise ConfigError(f"Compute(resources={found!r}) is not valid: set {name} by {_OURS[name]}=")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"Compute(resources={found!r}) is not valid: {name!r} needs a number above 0")
    return tuple(sorted(found.items()))
