"""Screening on Ray: splits grouped into tasks; each streams its rows from the source straight into files."""

from __future__ import annotations

from collections.abc import Sequence
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
    waiting = [_task.remote(shared, group) for group in group_splits(splits, int(session.cpus))]
    try:
        with task_errors(job.url):
            return list(ray.get(waiting))
    except BaseException:
        _drop(job, waiting)
        raise


def group_splits(splits: Sequence[Split], cpus: int) -> list[list[Split]]:
    """Splits per task: enough tasks for every CPU, but none so small that it makes a small file.

    Example:
        >>> [len(group) for group in group_splits([Split(str(n), {}, 1024) for n in range(1000)], 4)]
        [1000]
    """
    total = sum(split.size for split in splits)
    size = min(_TASK_BYTES, max(_LEAST_TASK_BYTES, total // max(1, cpus)))
    groups: list[list[Split]] = [[]]
    filled = 0
    for split in splits:
        if groups[-1] and filled + split.size > size:
            groups.append([])
            filled = 0
        groups[-1].append(split)
        filled += split.size
    return groups


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
