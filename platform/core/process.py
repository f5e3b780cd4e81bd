"""Which process does a piece of work, written down so that anybody can tell later whether it still lives."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Process:
    """A process of some machine.

    Attributes:
        host: Name of the machine.
        pid: Process id.
        started: Start time in clock ticks since boot; tells a process from a later one with the same id.
        system: Which kernel and which table of processes the id belongs to (two containers of one machine have
            tables of their own).
        cluster: Id of the Ray cluster the process was connected to, or ``""``.
        job: Its Ray job on that cluster, or ``""``.
    """

    host: str
    pid: int
    started: int
    system: str
    cluster: str = ""
    job: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: object) -> Process | None:
        """The process that `to_dict` described, or ``None`` when `stored` is something else.

        Example:
            >>> Process.from_dict(this_process().to_dict()) == this_process()
            True
            >>> Process.from_dict("me") is None
            True
        """
        if not isinstance(stored, Mapping):
            return None
        try:
            return cls(**stored)
        except TypeError:
            return None


def this_process() -> Process:
    """The calling process.

    Example:
        >>> this_process().pid == os.getpid()
        True
    """
    cluster, job = _ray_job()
    return Process(socket.gethostname(), os.getpid(), start_ticks(os.getpid()), _system(), cluster, job)


def has_ended(process: Process) -> bool:
    """Whether the process is known to have ended.

    On its own machine its entry in ``/proc`` tells. From elsewhere only the Ray cluster can tell that both are
    connected to; without one the answer is ``False``: not known to have ended.

    Example:
        >>> has_ended(this_process())
        False
        >>> import subprocess
        >>> child = subprocess.Popen(["sleep", "60"])
        >>> facts = this_process().to_dict() | {"pid": child.pid, "started": start_ticks(child.pid), "job": ""}
        >>> child.kill(), child.wait()
        (None, -9)
        >>> has_ended(Process.from_dict(facts))
        True
    """
    if process.system == _system():
        return start_ticks(process.pid) != process.started
    return bool(process.job) and _ray_job()[0] == process.cluster and process.job in _dead_jobs()


def start_ticks(pid: int) -> int:
    """Start time of a live process in clock ticks since boot, from ``/proc``; 0 when there is none.

    Example:
        >>> start_ticks(os.getpid()) > 0, start_ticks(0)
        (True, 0)
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


def _system() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _ray_job() -> tuple[str, str]:
    """Ids of the cluster and of the job, when this process uses Ray; Ray is never imported for the question."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return "", ""
    worker = ray._private.worker.global_worker
    cluster, job = worker.current_cluster_and_job
    return cluster.hex(), job.hex()


def _dead_jobs() -> set[str]:
    from ray._private.state import jobs

    return {job["JobID"] for job in jobs() if job["IsDead"]}  # type: ignore[no-untyped-call]
