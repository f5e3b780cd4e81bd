"""Pipelines over HTTP: runs, their steps and pictures, schedules, and events that start pipelines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from ... import pipelines
from ...registry.frames import plain_record
from ..context import current_workspace

router = APIRouter(tags=["pipelines"], prefix="/api/raylake/pipelines")
# Pictures hold text that people wrote. It is escaped; should that ever fail, still no script runs.
_SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "x-content-type-options": "nosniff",
}
_RunId = Annotated[str, Path(max_length=64, description="A run's id, or the beginning of it")]
_Text = Annotated[str | None, Query(max_length=200)]


class Signalled(BaseModel):
    """The event that was recorded."""

    event: int


class Asked(BaseModel):
    """The state of the run now: ``running`` until its driver has seen what was asked."""

    state: str


@router.get("/runs")
def runs(
    request: Request,
    pipeline: _Text = None,
    state: _Text = None,
    schedule: _Text = None,
    before: Annotated[str | None, Query(max_length=64, description="The last run of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """Runs without their steps, newest first."""
    ws = current_workspace(request)
    found = pipelines.runs(ws, pipeline=pipeline, state=state, schedule=schedule, before=before, limit=limit)
    return [plain_record(run) for run in found]


@router.get("/runs/{run}")
def show(request: Request, run: _RunId) -> dict[str, Any]:
    """One run with its steps."""
    found: dict[str, Any] = plain_record(pipelines.show(current_workspace(request), run))
    return found


@router.get("/runs/{run}/picture", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}})
def picture(request: Request, run: _RunId, form: Literal["svg", "gantt"] = "svg") -> Response:
    """The run's graph with its states, or when each step ran, as an SVG picture."""
    drawn = pipelines.draw(pipelines.show(current_workspace(request), run), form)
    return Response(drawn, media_type="image/svg+xml", headers=_SAFE)


@router.get("/runs/{run}/logs", response_class=PlainTextResponse)
def logs(
    request: Request, run: _RunId, step: Annotated[str, Query(max_length=300, description="Key of the step")]
) -> PlainTextResponse:
    """What a step printed and logged, all attempts in order."""
    return PlainTextResponse(pipelines.logs(current_workspace(request), run, step), headers=_SAFE)


@router.post("/runs/{run}/cancel")
def cancel(request: Request, run: _RunId) -> Asked:
    """Cancel a run; its finaliser runs."""
    return Asked(state=pipelines.cancel(current_workspace(request), run))


@router.post("/runs/{run}/pause")
def pause(request: Request, run: _RunId) -> Asked:
    """Start nothing new in a run."""
    return Asked(state=pipelines.pause(current_workspace(request), run))


@router.get("/schedules")
def schedules(request: Request) -> list[dict[str, Any]]:
    """Schedules, by name."""
    return [plain_record(each) for each in pipelines.schedules(current_workspace(request))]


@router.post("/events/{name}", status_code=202)
def signal(
    request: Request,
    name: Annotated[str, Path(max_length=200, description="The webhook's name")],
    payload: Annotated[dict[str, Any] | None, Body(description="What the runs that it starts are told")] = None,
) -> Signalled:
    """Record that a webhook was called: schedules that wait for ``OnEvent("webhook", "webhook:NAME")`` start."""
    return Signalled(event=pipelines.signal(current_workspace(request), name, payload))
