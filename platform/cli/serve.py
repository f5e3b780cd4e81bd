"""`raylake serve ...`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from .options import JsonOption, WorkspaceOption, existing_workspace, open_workspace, print_json, show

group = typer.Typer(no_args_is_help=True)


@group.command()
def deploy(
    model: Annotated[str, typer.Argument(help="name@alias or name@version; an alias is followed when it moves")],
    name: Annotated[str | None, typer.Option(help="Name of the endpoint; default: the model's")] = None,
    min_replicas: Annotated[int, typer.Option(min=0)] = 1,
    max_replicas: Annotated[int, typer.Option(min=1)] = 2,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Deploy a registered model on the workspace's cluster, which is started when none runs."""
    from .. import serve
    from ..core import start_cluster

    ws = open_workspace(workspace)
    if ws.ray_address == "auto":
        start_cluster(ws)
    endpoint = serve.deploy(ws, model, name=name, autoscale=serve.Autoscale(min_replicas, max_replicas))
    if json:
        print_json({"name": endpoint.name, "url": endpoint.url, "docs_url": endpoint.docs_url})
        return
    Console().print(f"{endpoint.name} answers at {endpoint.url}; docs {endpoint.docs_url}; stop with `raylake down`")


@group.command()
def undeploy(name: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Take an endpoint down."""
    from .. import serve

    serve.undeploy(existing_workspace(workspace), name)
    if json:
        print_json({"undeployed": name})
        return
    Console().print(f"{name} is down")


@group.command("list")
def list_(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Deployments, running and ended."""
    from .. import registry

    found = registry.deployments(existing_workspace(workspace))
    show(found, ("endpoint", "target", "version", "status", "url"), as_json=json, title="deployments")
