"""Runs that did not finish, and going on from their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core import ConfigError, NotFound, Workspace
from ..registry import Run, runs
from ..registry import run as run_of
from .checkpoint_store import CheckpointStore
from .spec import Spec

# What may differ between a run and the one that goes on with it: it does not shape the model.
_FREE = ("compute", "checkpoints", "name")
_NEWEST = 100


def find_resumable(ws: Workspace, spec: Spec, resume: str | bool) -> str:
    """Id of the run to go on from, or ``""`` to begin anew; see `fit`.

    Raises:
        NotFound: The named run is unknown or has no whole checkpoint.
        ConfigError: The named run is of another Spec, or has finished.
    """
    if resume is False:
        return ""
    wanted = _shape(spec.to_dict())
    if resume is True:
        for status in ("failed", "stopped"):
            for run in runs(ws, kind="train", status=status, limit=_NEWEST):
                if _shape(run.params) == wanted and CheckpointStore(ws, run.id).newest() is not None:
                    return run.id
        return ""
    _check(run_of(ws, resume), wanted)
    if CheckpointStore(ws, resume).newest() is None:
        raise NotFound(f"run {resume!r} has no whole checkpoint to go on from: fit without resume=")
    return resume


def discard_checkpoints(ws: Workspace, run: str) -> None:
    """Remove what a run that did not finish left under ``<root>/runs``; it cannot be resumed then.

    Example:
        >>> import tempfile
        >>> discard_checkpoints(Workspace.open(tempfile.mkdtemp()), "0123456789abcdef")
    """
    CheckpointStore(ws, run).remove()


def _check(run: Run, wanted: Mapping[str, Any]) -> None:
    if run.status == "finished":
        raise ConfigError(f"run {run.id!r} has finished: there is nothing to go on with")
    known = _shape(run.params)
    different = [name for name in wanted if known.get(name) != wanted[name]]
    if different:
        name = different[0]
        raise ConfigError(
            f"run {run.id!r} is of another Spec: its {name} is {known.get(name)!r}, not {wanted[name]!r}. "
            "Resume with the same Spec (its compute and checkpoints may differ)"
        )


def _shape(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in _FREE}
