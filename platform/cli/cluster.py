"""`raylake up`, `down`, `status`."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console

from ..core import StorageError, find_cluster, start_cluster, stop_cluster
from .options import JsonOption, WorkspaceOption, open_workspace, print_json, show


def up(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Start a Ray cluster on this machine that outlives the command; other commands join it."""
    cluster = start_cluster(open_workspace(workspace))
    if json:
        print_json(cluster)
        return
    Console().print(f"Ray cluster {cluster.address}, dashboard {cluster.dashboard_url}; stop it with `raylake down`")


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
    """What runs and what the registry holds: cluster, endpoints, models, tables, latest reports and alerts."""
    from .. import registry

    ws = open_workspace(workspace)
    with suppress(StorageError):  # a registry that can only be read is shown as it is
        registry.settle_interrupted(ws)
    cluster = find_cluster(ws)
    state = {
        "workspace": ws.root,
        "cluster": cluster,
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
    Console().print(f"workspace {ws.root}\ncluster   {running}")
    show(state["endpoints"], ("endpoint", "target", "version", "url"), as_json=False, title="endpoints")  # type: ignore[arg-type]
    show(state["runs"], ("id", "kind", "name", "created_at"), as_json=False, title="runs in progress")  # type: ignore[arg-type]
    show(state["models"], ("name", "latest", "aliases"), as_json=False, title="models")  # type: ignore[arg-type]
    show(state["tables"], ("name", "version", "rows", "operation"), as_json=False, title="tables")  # type: ignore[arg-type]
    show(state["reports"], ("endpoint", "model", "window", "share"), as_json=False, title="drift reports")  # type: ignore[arg-type]
    show(state["alerts"], ("severity", "subject", "message"), as_json=False, title="alerts")  # type: ignore[arg-type]
