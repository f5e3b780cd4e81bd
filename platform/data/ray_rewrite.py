"""Changed files written by Ray tasks."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import ray

from .file_writer import NewFile, remove_files
from .ray_tasks import task_errors
from .rewrite import Change, rewrite_file


@ray.remote(num_cpus=1, max_retries=3)
def _task(url: str, change: Change, schema: pa.Schema, partitions: Sequence[str]) -> list[NewFile]:
    return rewrite_file(url, change, schema, partitions)


def rewrite_on_ray(url: str, changes: Sequence[Change], schema: pa.Schema, partitions: Sequence[str]) -> list[NewFile]:
    """Write changed files, one task each; when one fails, the files of the others are removed."""
    waiting = [_task.remote(url, change, schema, tuple(partitions)) for change in changes]
    try:
        with task_errors(url):
            return [file for files in ray.get(waiting) for file in files]
    except BaseException:
        for task in waiting:
            ray.cancel(task)
        for task in waiting:
            try:
                remove_files(url, [file.path for file in ray.get(task)])
            except (ray.exceptions.RayError, OSError, ValueError):
                continue
        raise
