"""`raylake features ...`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from .options import JsonOption, WorkspaceOption, load_object, open_workspace, print_json, show

group = typer.Typer(no_args_is_help=True)
ViewArgument = Annotated[str, typer.Argument(help="package.module:view")]


@group.command()
def build(view: ViewArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Compute a feature view from its table into `features.<view>`."""
    from .. import features

    version = features.build_view(open_workspace(workspace), load_object(view))
    show([version], ("name", "version", "rows", "operation"), as_json=json, title="tables")


@group.command()
def materialise(
    view: ViewArgument,
    until: Annotated[datetime | None, typer.Option(help="UTC; default: everything known")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Fill the online store with the latest values of a view or feature set."""
    from datetime import UTC

    from .. import features

    moment = until.replace(tzinfo=UTC) if until else None
    rows = features.materialise(open_workspace(workspace), load_object(view), until=moment)
    if json:
        print_json({"rows": rows})
        return
    typer.echo(f"{rows} values written")
