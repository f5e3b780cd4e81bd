"""Screening on Ray: splits grouped into tasks; each streams its rows from the source straight into files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from heapq import heappop, heappush
from threading import Lock

import ray

from ..core import Workspace, ensure_ray
from .connector import Split
from .file_writer import remove_files
from .ray_tasks import task_errors
from .screening import Job, Screened, screen

# Small files are read by one task until it has this much: each task writes at least one file.
_TASK_BYTES = 128 * 1024 * 1024
_LEAST_TASK_BYTES = 8 * 1024 * 1024
_CONNECTING = Lock()


@ray.remote(num_cpus=1, max_retries=3)
def _task(job: Job, splits: Sequence[Split]) -> Screened:
    return screen(job, splits)


def screen_on_ray(ws: Workspace, job: Job, splits: Sequence[Split]) -> list[Screened]:
    """Screen splits in Ray tasks; when one fails, the files of the others are removed.

    Raises:
        RaylakeError: What the first failing task raised.
    """
    with _CONNECTING:
        session = ensure_ray(ws)
    shared = ray.put(job)
    workers = _workers(int(session.cpus))
    groups = group_splits(splits, workers)
    started: list[ray.ObjectRef[Screened]] = []
    try:
        with task_errors(job.url):
            running: list[ray.ObjectRef[Screened]] = []
            for group in groups:
                if len(running) >= workers:
                    done, running = ray.wait(running)
                    ray.get(done)
                started.append(_task.remote(shared, group))
                running.append(started[-1])
            return list(ray.get(started))
    except BaseException:
        _drop(job, started)
        raise


def group_splits(splits: Sequence[Split], workers: int) -> list[list[Split]]:
    """Splits per task: as many tasks as keep every worker busy to the end, but none so small that its file is small.

    The largest splits are dealt first, each to the task that has least so far; within a task they keep their order.

    Args:
        splits: The splits, in the order of the source.
        workers: Tasks that run side by side.

    Example:
        >>> [len(group) for group in group_splits([Split(str(n), {}, 1024) for n in range(1000)], 4)]
        [1000]
        >>> [len(group) for group in group_splits([Split(str(n), {}, 2**25) for n in range(20)], 4)]
        [3, 3, 3, 3, 2, 2, 2, 2]
    """
    total = sum(split.size for split in splits)
    tasks = -(-total // _TASK_BYTES)
    # A last round that only some of the workers have a part in keeps the others waiting.
    tasks = min(max(workers, -(-tasks // workers) * workers), max(1, total // _LEAST_TASK_BYTES), len(splits))
    filled = [(0, number) for number in range(tasks)]
    groups: list[list[int]] = [[] for _ in range(tasks)]
    for place in sorted(range(len(splits)), key=lambda index: -splits[index].size):
        size, number = heappop(filled)
        groups[number].append(place)
        heappush(filled, (size + splits[place].size, number))
    return [[splits[place] for place in sorted(group)] for group in groups]


def _workers(cpus: int) -> int:
    """Tasks that can run side by side: a cluster of this machine alone offers more CPUs than it has cores."""
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    here = len(alive) == 1 and alive[0]["NodeID"] == ray.get_runtime_context().get_node_id()
    return max(1, min(cpus, os.cpu_count() or cpus) if here else cpus)


def _drop(job: Job, waiting: Sequence[ray.ObjectRef[Screened]]) -> None:
    """Let the tasks end, then remove what they wrote: nothing of it will be committed."""
    for task in waiting:
        ray.cancel(task)
    for task in waiting:
        try:
            part = ray.get(task)
        except (ray.exceptions.RayError, OSError, ValueError):
            continue
        remove_files(job.url, [file.path for file in part.files])
        remove_files(job.quarantine_url, [file.path for file in part.rejects])
