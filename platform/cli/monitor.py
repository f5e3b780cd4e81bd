"""`raylake monitor ...`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from .options import JsonOption, WorkspaceOption, existing_workspace, show

group = typer.Typer(no_args_is_help=True)


@group.command()
def report(
    endpoint: str,
    start: Annotated[datetime, typer.Argument(help="UTC")],
    end: Annotated[datetime, typer.Argument(help="UTC")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Compare an endpoint's captured traffic of a window with its model's training data."""
    from .. import monitor

    window = (start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    made = monitor.report(existing_workspace(workspace), endpoint, window=window)
    show([made], ("endpoint", "share", "metrics", "artifacts"), as_json=json, title="reports")


@group.command()
def reports(
    endpoint: Annotated[str | None, typer.Argument()] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Stored drift reports."""
    from .. import registry

    found = registry.drift_reports(existing_workspace(workspace), endpoint)
    show(found, ("id", "endpoint", "model", "share", "metrics", "created_at"), as_json=json, title="reports")


@group.command()
def alerts(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Stored alerts."""
    from .. import registry

    found = registry.alerts(existing_workspace(workspace))
    show(found, ("id", "severity", "subject", "message", "created_at"), as_json=json, title="alerts")
