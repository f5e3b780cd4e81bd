"""`raylake pipeline ...`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core import ConfigError, Workspace
from .options import JsonOption, WorkspaceOption, existing_workspace, load_object, open_workspace, print_json, show

if TYPE_CHECKING:
    from ..pipelines import Pipeline

group = typer.Typer(no_args_is_help=True)

TargetArgument = Annotated[str, typer.Argument(help="package.module:pipeline, or a YAML file")]
RunArgument = Annotated[str, typer.Argument(help="A run's id, or the beginning of it")]
ParamOption = Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value; may be repeated")]
_RUN = ("id", "pipeline", "version", "state", "schedule", "created_at", "ended_at", "error")
_STEP = ("key", "state", "attempt", "seconds", "error")


@group.command()
def run(
    target: TargetArgument,
    param: ParamOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Run a pipeline here and wait for its end."""
    from .. import pipelines

    ws, pipeline = open_workspace(workspace), _load(target)
    done = pipelines.run(ws, pipeline, **_params(param))
    _show_run(done, as_json=json)


@group.command()
def submit(
    target: TargetArgument,
    param: ParamOption = None,
    pool: str = "default",
    priority: int = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Queue a run for the scheduler, and print its id."""
    from .. import pipelines

    ws = open_workspace(workspace)
    _tell(pipelines.submit(ws, _load(target), _params(param), pool=pool, priority=priority), "run", as_json=json)
    _warn_without_scheduler(ws)


@group.command("list")
def list_runs(
    pipeline: Annotated[str | None, typer.Option(help="Only runs of this pipeline")] = None,
    state: Annotated[str | None, typer.Option(help="queued, running, paused, finished, failed, cancelled")] = None,
    schedule: str | None = None,
    limit: int = 20,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Runs, newest first."""
    from .. import pipelines

    found = pipelines.runs(
        existing_workspace(workspace), pipeline=pipeline, state=state, schedule=schedule, limit=limit
    )
    show(found, _RUN, as_json=json, title="runs")


@group.command("show")
def show_run(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """One run with its steps."""
    from .. import pipelines

    _show_run(pipelines.show(existing_workspace(workspace), run), as_json=json)


@group.command()
def logs(run: RunArgument, step: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """What a step of a run printed and logged."""
    from .. import pipelines

    _tell(pipelines.logs(existing_workspace(workspace), run, step), "logs", as_json=json)


@group.command()
def resume(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Go on with a failed, cancelled, paused or killed run; finished steps are kept."""
    from .. import pipelines

    _here()
    _show_run(pipelines.resume(existing_workspace(workspace), run), as_json=json)


@group.command()
def retry(run: RunArgument, step: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Run one step again, and then what depends on it."""
    from .. import pipelines

    _here()
    _show_run(pipelines.retry_step(existing_workspace(workspace), run, step), as_json=json)


@group.command()
def cancel(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Cancel a run; its finaliser runs."""
    from .. import pipelines

    _tell(pipelines.cancel(existing_workspace(workspace), run), "state", as_json=json)


@group.command()
def pause(run: RunArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Start nothing new in a run; `resume` goes on."""
    from .. import pipelines

    _tell(pipelines.pause(existing_workspace(workspace), run), "state", as_json=json)


@group.command()
def draw(
    target: Annotated[str, typer.Argument(help="package.module:pipeline, a YAML file, or a run's id")],
    form: Annotated[str, typer.Option("--format", help="mermaid, svg, or gantt (runs only)")] = "mermaid",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """A pipeline or run as a diagram, on standard output."""
    from .. import pipelines

    if form not in ("mermaid", "svg", "gantt"):
        raise ConfigError(f"format {form!r} is not valid: use mermaid, svg or gantt")
    if target.isalnum():
        drawn = pipelines.draw(pipelines.show(existing_workspace(workspace), target), form)  # type: ignore[arg-type]
    elif form == "gantt":
        raise ConfigError("a gantt chart shows a run: name a run's id")
    else:
        loaded = _load(target)
        drawn = loaded.mermaid() if form == "mermaid" else loaded.svg()
    _tell(drawn, form, as_json=json)


@group.command()
def schedule(
    name: str,
    target: TargetArgument,
    cron: Annotated[str | None, typer.Option(help="minute hour day month weekday")] = None,
    timezone: Annotated[str, typer.Option(help="IANA name, for --cron")] = "UTC",
    every: Annotated[float | None, typer.Option(help="Seconds")] = None,
    on_table: Annotated[str | None, typer.Option(help="A new version of this table")] = None,
    overlap: Annotated[str, typer.Option(help="skip, queue or allow")] = "skip",
    missed: Annotated[str, typer.Option(help="latest, all or none")] = "latest",
    pool: str = "default",
    priority: int = 0,
    param: ParamOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Run a pipeline by itself, at times or after events; needs `raylake pipeline scheduler`."""
    from .. import pipelines

    options: tuple[Any, ...] = (
        pipelines.Cron(cron, timezone) if cron else None,
        pipelines.Every(every) if every else None,
        pipelines.OnTable(on_table) if on_table else None,
    )
    given = [each for each in options if each is not None]
    if len(given) != 1:
        raise ConfigError("name one of --cron, --every and --on-table")
    ws = open_workspace(workspace)
    made = pipelines.schedule(
        ws,
        name,
        _load(target),
        given[0],
        params=_params(param),
        overlap=overlap,  # type: ignore[arg-type]
        missed=missed,  # type: ignore[arg-type]
        pool=pool,
        priority=priority,
    )
    show([made], ("name", "pipeline", "trigger", "next_due"), as_json=json, title="schedules")
    _warn_without_scheduler(ws)


@group.command()
def schedules(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Schedules."""
    from .. import pipelines

    columns = ("name", "pipeline", "trigger", "enabled", "overlap", "missed", "next_due")
    show(pipelines.schedules(existing_workspace(workspace)), columns, as_json=json, title="schedules")


@group.command()
def unschedule(name: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Remove a schedule; its runs stay."""
    from .. import pipelines

    pipelines.unschedule(existing_workspace(workspace), name)
    _tell(name, "unscheduled", as_json=json)


@group.command()
def backfill(
    name: Annotated[str, typer.Argument(help="A schedule")],
    start: Annotated[datetime, typer.Argument(help="UTC, included")],
    end: Annotated[datetime, typer.Argument(help="UTC, excluded")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Queue a run for every time of a schedule in a range."""
    from .. import pipelines

    window = (start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    ws = open_workspace(workspace)
    queued = pipelines.backfill(ws, name, *window)
    if json:
        print_json({"queued": queued})
    else:
        print(f"{len(queued)} runs queued")
    _warn_without_scheduler(ws)


@group.command()
def scheduler(workspace: WorkspaceOption = None, stop: bool = False, json: JsonOption = False) -> None:
    """Start the workspace's scheduler on its Ray cluster (see `raylake up`), or stop it."""
    from .. import pipelines

    ws = open_workspace(workspace)
    _here()
    if stop:
        told = "stopped" if pipelines.stop_scheduler(ws) else "no scheduler ran"
    else:
        pipelines.start_scheduler(ws)
        told = "the scheduler runs"
    _tell(told, "scheduler", as_json=json)


def _warn_without_scheduler(ws: Workspace) -> None:
    """What waits for a scheduler starts when there is one; said on standard error, beside the answer."""
    from .. import pipelines

    if not pipelines.schedulers(ws):
        print("no scheduler runs: start one with `raylake up` or `raylake pipeline scheduler`", file=sys.stderr)


def _load(target: str) -> Pipeline:
    from .. import pipelines

    if target.endswith((".yaml", ".yml")):
        return pipelines.load_yaml(target)
    found = load_object(target)
    if not isinstance(found, pipelines.Pipeline):
        raise ConfigError(f"{target} is a {type(found).__name__}, not a pipeline: decorate it with @pipelines.pipeline")
    return found


def _here() -> None:
    """Stored pipelines may come from modules of the current folder."""
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _params(given: list[str] | None) -> dict[str, str]:
    found = {}
    for each in given or []:
        name, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(f"parameter {each!r} is not valid: write name=value")
        found[name] = value
    return found


def _tell(value: str, what: str, *, as_json: bool) -> None:
    """One answer: as it is, or as the only member of an object."""
    if as_json:
        print_json({what: value})
    else:
        print(value)


def _show_run(run: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    show([run], _RUN, as_json=False, title="runs")
    rows = [{name: getattr(step, name) for name in _STEP} for step in run.steps]
    show(rows, _STEP, as_json=False, title="steps")
