"""`raylake up`, `down`, `status`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..core import StorageError, find_cluster, start_cluster, stop_cluster
from .options import JsonOption, WorkspaceOption, open_workspace, print_json, show

if TYPE_CHECKING:
    from ..pipelines import Beat


def up(
    workspace: WorkspaceOption = None,
    scheduler: Annotated[bool, typer.Option(help="Also start the scheduler of pipelines")] = True,
    json: JsonOption = False,
) -> None:
    """Start a Ray cluster on this machine that outlives the command, and the scheduler; other commands join it."""
    ws = open_workspace(workspace)
    cluster = start_cluster(ws)
    if scheduler:
        from .. import pipelines

        pipelines.start_scheduler(ws)
    if json:
        print_json(cluster)
        return
    told = " with the scheduler of pipelines" if scheduler else ""
    Console().print(
        f"Ray cluster {cluster.address}{told}, dashboard {cluster.dashboard_url}; stop it with `raylake down`"
    )


def down(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Stop the cluster of this workspace, and the endpoints on it; other Ray clusters stay."""
    from .. import registry

    ws = open_workspace(workspace)
    stopped = stop_cluster(ws)
    for deployment in registry.deployments(ws, status="running"):
        registry.end_deployment(ws, deployment.endpoint)
    if json:
        print_json({"stopped": stopped})
        return
    Console().print("stopped" if stopped else "no cluster of this workspace was running")


def status(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """What runs and what the registry holds: cluster, endpoints, pipelines, models, tables, reports and alerts."""
    from .. import pipelines, registry

    ws = open_workspace(workspace)
    with suppress(StorageError):  # a registry that can only be read is shown as it is
        registry.settle_interrupted(ws)
    cluster = find_cluster(ws)
    state = {
        "workspace": ws.root,
        "cluster": cluster,
        "schedulers": pipelines.schedulers(ws),
        "pipelines": pipelines.runs(ws, limit=6),
        "endpoints": registry.deployments(ws, status="running"),
        "runs": registry.runs(ws, status="running"),
        "models": registry.models(ws),
        "tables": registry.tables(ws),
        "reports": registry.drift_reports(ws)[:6],
        "alerts": registry.alerts(ws)[:6],
    }
    if json:
        print_json(state)
        return
    running = f"running at {cluster.address}, dashboard {cluster.dashboard_url}" if cluster else "not running"
    Console().print(f"workspace {ws.root}\ncluster   {running}\nscheduler {_turning(state['schedulers'])}")  # type: ignore[arg-type]
    show(state["pipelines"], ("id", "pipeline", "state", "created_at"), as_json=False, title="newest pipeline runs")  # type: ignore[arg-type]
    show(state["endpoints"], ("endpoint", "target", "version", "url"), as_json=False, title="endpoints")  # type: ignore[arg-type]
    show(state["runs"], ("id", "kind", "name", "created_at"), as_json=False, title="runs in progress")  # type: ignore[arg-type]
    show(state["models"], ("name", "latest", "aliases"), as_json=False, title="models")  # type: ignore[arg-type]
    show(state["tables"], ("name", "version", "rows", "operation"), as_json=False, title="tables")  # type: ignore[arg-type]
    show(state["reports"], ("endpoint", "model", "window", "share"), as_json=False, title="drift reports")  # type: ignore[arg-type]
    show(state["alerts"], ("severity", "subject", "message"), as_json=False, title="alerts")  # type: ignore[arg-type]


def _turning(schedulers: list[Beat]) -> str:
    """The schedulers in words."""
    if not schedulers:
        return "not running; `raylake up` or `raylake pipeline scheduler` starts it"
    told = []
    for each in schedulers:
        host, process = each.owner.split(":")[:2]
        failed = f", the last turn failed: {each.error}" if each.error else ""
        told.append(f"process {process} on {host} since {each.started_at:%Y-%m-%d %H:%M} UTC{failed}")
    return "; ".join(told)
