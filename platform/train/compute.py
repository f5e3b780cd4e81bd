"""What resources a fit asks for, checked against the cluster before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core import ComputeUnavailable, ConfigError, Workspace, ensure_ray

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Compute:
    """Resources of a fit, for each worker.

    Attributes:
        workers: Ray workers that train side by side (default 1).
        cpus: CPUs of each worker, also its number of threads (default 1).
        gpus: GPUs of each worker; ``auto`` takes one if the cluster has enough, else none (default).
        memory: Heap memory of each worker in bytes, or ``None`` for no reservation.

    Example:
        >>> Compute(workers=2).total_cpus
        2
    """

    workers: int = 1
    cpus: int = 1
    gpus: int | str = "auto"
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "cpus"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"Compute({name}={value!r}) is not valid: use a whole number of 1 or more")
        if self.gpus != "auto" and (not isinstance(self.gpus, int) or self.gpus < 0):
            raise ConfigError(f"Compute(gpus={self.gpus!r}) is not valid: use 'auto', or a whole number of 0 or more")
        if self.memory is not None and self.memory <= 0:
            raise ConfigError(f"Compute(memory={self.memory!r}) is not valid: give bytes, or None for no reservation")

    @property
    def total_cpus(self) -> int:
        """CPUs of all workers together."""
        return self.workers * self.cpus

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return {"workers": self.workers, "cpus": self.cpus, "gpus": self.gpus, "memory": self.memory}


@dataclass(frozen=True, slots=True)
class Resources:
    """What `resolve` settled on: the numbers that Ray is asked for, per worker."""

    workers: int
    cpus: int
    gpus: int
    memory: int | None

    @property
    def bundle(self) -> dict[str, float]:
        """Resources of one worker in Ray's words."""
        found: dict[str, float] = {"CPU": self.cpus}
        if self.gpus:
            found["GPU"] = self.gpus
        if self.memory:
            found["memory"] = self.memory
        return found


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
    wanted = Resources(compute.workers, compute.cpus, 0, compute.memory)
    if compute.gpus != "auto":
        wanted = Resources(compute.workers, compute.cpus, int(compute.gpus), compute.memory)
    elif sum(int(node.get("GPU", 0)) for node in nodes) >= compute.workers:
        wanted = Resources(compute.workers, compute.cpus, 1, compute.memory)
    check_fits(wanted, nodes)
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
    room = sum(_workers_on(node, wanted.bundle) for node in nodes)
    if room >= wanted.workers:
        return
    asked = ", ".join(_amount(name, value) for name, value in wanted.bundle.items())
    has = "; ".join(_describe(node) for node in nodes) or "no node"
    raise ComputeUnavailable(
        f"{wanted.workers} worker(s) with {asked} each do not fit: the cluster has {has}. "
        f"It holds {room} such worker(s): ask for less, or add nodes"
    )


def _workers_on(node: dict[str, float], bundle: dict[str, float]) -> int:
    return min(int(node.get(name, 0) // value) for name, value in bundle.items())


def _describe(node: dict[str, float]) -> str:
    return ", ".join(_amount(name, node.get(name, 0)) for name in ("CPU", "GPU", "memory"))


def _amount(name: str, value: float) -> str:
    return f"{value / GIB:.1f} GiB memory" if name == "memory" else f"{value:g} {name}"
