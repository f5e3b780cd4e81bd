"""`raylake registry ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from .lineage import runs
from .options import JsonOption, WorkspaceOption, open_workspace, print_json, show

group = typer.Typer(no_args_is_help=True)
group.command()(runs)


@group.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A model, to list its versions")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Models, or the versions of one."""
    from .. import registry

    ws = open_workspace(workspace)
    if name:
        registry.model_version(ws, name)  # an unknown name is an error, not an empty list
    found = registry.model_versions(ws, name) if name else _newest_of_all(ws)
    show(found, ("name", "version", "aliases", "metrics", "created_at"), as_json=json, title="models")


def _newest_of_all(ws: object) -> list[object]:
    from .. import registry

    return [registry.model_version(ws, model.name) for model in registry.models(ws)]  # type: ignore[arg-type]


@group.command()
def alias(
    model: str,
    name: str,
    version: int,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Move an alias to a version; running endpoints pick it up."""
    from .. import registry

    moved = registry.set_alias(open_workspace(workspace), model, name, version)
    show([moved], ("name", "version", "aliases"), as_json=json, title="models")


@group.command()
def lineage(
    node: Annotated[str, typer.Argument(help="kind:name@version, such as table:main.flights@1")],
    down: Annotated[bool, typer.Option("--down", help="What depends on it, instead of what it depends on")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What something was made from, or what was made from it."""
    from .. import registry

    ws = open_workspace(workspace)
    edges = registry.downstream(ws, node) if down else registry.upstream(ws, node)
    rows = [{"source": str(edge.source), "target": str(edge.target)} for edge in edges]
    if json:
        print_json(rows)
        return
    show(rows, ("source", "target"), as_json=False, title="edges")


@group.command()
def events(
    after: Annotated[int, typer.Option(help="Only events after this id")] = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What happened, oldest first."""
    from .. import registry

    found = registry.events(open_workspace(workspace), after=after)
    show(found, ("id", "kind", "subject", "payload", "created_at"), as_json=json, title="events")
