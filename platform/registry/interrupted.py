"""Runs whose process was killed: found by the mark that it left on them, and ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import Conflict, Process, Workspace, has_ended, this_process
from .records import Run
from .tracking import finish_run, runs

PROCESS = "process"


def marked(tags: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The tags with a mark of the calling process, for `start_run` of work that ends with this process.

    Work that another process can take up and go on with must not carry it.

    Example:
        >>> sorted(marked({"task": "binary"}))
        ['process', 'task']
    """
    return {**(tags or {}), PROCESS: this_process().to_dict()}


def settle_interrupted(ws: Workspace) -> list[Run]:
    """End the runs that say ``running`` while their process is known to have ended (``kill -9``, a power cut).

    They become ``stopped``, with an error that names the process. Runs without a mark of their process, and those of
    machines that cannot be asked, stay. Safe to call from anywhere at any time; fits, searches and the commands that
    list runs do.

    Returns:
        The runs that were ended, newest first.

    Raises:
        StorageError: The registry cannot be reached or written.

    Example:
        >>> import tempfile
        >>> from raylake.registry import start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "train", "first", tags=marked())
        >>> settle_interrupted(ws)  # this process lives
        []
    """
    settled = []
    for run in runs(ws, status="running", limit=None):
        process = Process.from_dict(run.tags.get(PROCESS))
        if process is None or not has_ended(process):
            continue
        error = f"interrupted: {process} ended without finishing this run"
        try:
            settled.append(finish_run(ws, run.id, status="stopped", error=error))
        except Conflict:  # somebody else settled it just now
            continue
    return settled
