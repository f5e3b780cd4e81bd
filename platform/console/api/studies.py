"""Studies over HTTP: ask for parameters, try them anywhere, tell what came of it.

`tune` brings much with it: a server that has no study does not load it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field

from ... import registry
from ...core import NotFound
from ...registry.frames import plain_record
from ..context import current_workspace

router = APIRouter(tags=["studies"], prefix="/api/raylake/studies")
_Id = Annotated[str, Path(max_length=64, description="Id of the study's run")]
_Words = str | list[str]


class NewStudy(BaseModel):
    """What is sought, and where. Opening the same study twice gives the one that is open."""

    name: str = Field(min_length=1, max_length=200)
    space: dict[str, Any] = Field(
        description="Domains by parameter: {kind: integer|real, low, high, log}, {kind: choice, values} or "
        "{kind: branch, options: [{value, space}]}"
    )
    metric: _Words
    mode: _Words = "max"
    trials: int = Field(default=100, ge=1, le=100_000)
    sampler: str = "tpe"
    pruner: str = "none"
    seed: int = 0


class Suggest(BaseModel):
    """How many parameters to try, and who asks: an unfinished trial of the same client comes first."""

    count: int = Field(default=1, ge=1, le=1000)
    client: str = Field(default="", max_length=200)


class Suggested(BaseModel):
    """Parameters to try; fewer than asked for, or none, when the study has handed out all its trials."""

    suggestions: list[dict[str, Any]]


class Report(BaseModel):
    """What came of a trial. With a step and no status it is on the way; else it is final."""

    trial: str = Field(max_length=64)
    metrics: dict[str, float] = Field(default_factory=dict)
    step: int | None = None
    status: Literal["running", "finished", "failed", "stopped"] | None = None
    error: str = Field(default="", max_length=10_000)


class Reported(BaseModel):
    """The trial's status now, and whether it has fallen behind and need not go on."""

    status: str
    stop: bool


@router.get("")
def studies(
    request: Request,
    status: Annotated[str | None, Query(max_length=20)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Studies, newest first: those of this service and those of `tune.search`."""
    found = registry.runs(current_workspace(request), kind="study", status=status, limit=limit)
    return [plain_record(study) for study in found]


@router.post("", status_code=201)
def open_study(request: Request, study: NewStudy) -> dict[str, Any]:
    """Open a study."""
    from ... import tune

    ws = current_workspace(request)
    space = tune.space_from_dict(study.space)
    options = study.model_dump(exclude={"name", "space"})
    made: dict[str, Any] = plain_record(tune.open_study(ws, study.name, space, **options))
    return made


@router.get("/{study}/trials")
def trials(request: Request, study: _Id) -> list[dict[str, Any]]:
    """The trials of a study, oldest first."""
    ws = current_workspace(request)
    return [plain_record(trial) for trial in registry.trials(ws, registry.run(ws, study).id)]


@router.post("/{study}/suggest")
def suggest(request: Request, study: _Id, asked: Suggest) -> Suggested:
    """Parameters to try next."""
    from ... import tune

    found = tune.ask(current_workspace(request), study, count=asked.count, client=asked.client)
    return Suggested(suggestions=[{"trial": each.trial, "params": dict(each.params)} for each in found])


@router.post("/{study}/report")
def report(request: Request, study: _Id, told: Report) -> Reported:
    """Tell what came of a trial of this study."""
    from ... import tune

    ws = current_workspace(request)
    if registry.run(ws, told.trial).parent != study:
        raise NotFound(f"trial {told.trial!r} is not one of study {study!r}")
    found = tune.tell(ws, told.trial, told.metrics, step=told.step, status=told.status, error=told.error)
    return Reported(status=found.trial.status, stop=found.stop)


@router.post("/{study}/close")
def close(request: Request, study: _Id) -> dict[str, Any]:
    """End a study; its open trials are stopped."""
    from ... import tune

    done: dict[str, Any] = plain_record(tune.close_study(current_workspace(request), study))
    return done
