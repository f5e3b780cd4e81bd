"""`raylake registry ...`: what `raylake runs|models|tables|lineage` do not do."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption, WorkspaceOption, existing_workspace, show

group = typer.Typer(no_args_is_help=True)


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

    moved = registry.set_alias(existing_workspace(workspace), model, name, version)
    show([moved], ("name", "version", "aliases"), as_json=json, title="models")


@group.command()
def events(
    after: Annotated[int, typer.Option(help="Only events after this id")] = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What happened, oldest first."""
    from .. import registry

    found = registry.events(existing_workspace(workspace), after=after)
    show(found, ("id", "kind", "subject", "payload", "created_at"), as_json=json, title="events")
