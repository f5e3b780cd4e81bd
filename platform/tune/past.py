"""What a search finds of itself in the registry: an interrupted study to go on with, earlier ones to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core import ConfigError, Workspace
from ..registry import Run, marked, reopen_run, runs, set_tags
from ..registry import run as run_of
from ..registry import trials as trials_of
from .study import Study

# Where and how many side by side says nothing about what is sought.
_INCIDENTAL = ("concurrency", "compute")


def interrupted_study(ws: Workspace, name: str, params: Mapping[str, Any]) -> Run | None:
    """The newest study with these parameters, if it did not come to its end; it is running again when this returns."""
    for found in runs(ws, kind="study", limit=None):
        if found.name == name and _same(found.params, params):
            if found.status not in ("stopped", "failed"):
                return None
            taken = reopen_run(ws, found.id)
            set_tags(ws, found.id, marked())
            return taken
    return None


def fitted_of(ws: Workspace, study: Run, trainer: Mapping[str, Any]) -> Run | None:
    """The full fit with these parameters that an interrupted study got to."""
    for found in runs(ws, kind="train", parent=study.id, status="finished", limit=None):
        if found.params.get("trainer") == trainer and found.artifact:
            return found
    return None


def earlier_trials(ws: Workspace, studies: Iterable[Study | Run | str]) -> list[Run]:
    """Trials of earlier studies.

    Raises:
        NotFound: A study is unknown.
        ConfigError: A run is no study.
    """
    found: list[Run] = []
    for study in studies:
        run = study.run if isinstance(study, Study) else study if isinstance(study, Run) else run_of(ws, study)
        if run.kind != "study":
            raise ConfigError(f"warm_start: run {run.id} is a {run.kind}, not a study: name a study")
        found += trials_of(ws, run.id)
    return found


def _same(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = (mine.keys() | other.keys()) - set(_INCIDENTAL)
    return all(mine.get(name) == other.get(name) for name in names)
