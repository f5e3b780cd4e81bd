"""`raylake backup` and `raylake restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JsonOption, WorkspaceOption, open_workspace, show

_COLUMNS = ("id", "made_at", "files", "bytes", "copied")


def backup(
    to: Annotated[str, typer.Argument(help="Where backups are kept: a folder or URL outside the workspace")],
    verify: Annotated[bool, typer.Option("--verify", help="Read back every file and check its hash")] = False,
    keep: Annotated[int, typer.Option(help="Remove all but so many newest backups; 0 keeps all")] = 0,
    show_all: Annotated[bool, typer.Option("--list", help="Make none; list the backups that are there")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Back up tables, registry and artifacts; copies only what changed since the last backup."""
    from .. import data

    if show_all:
        show(data.backups(to), _COLUMNS, as_json=json, title="backups")
        return
    made = data.backup(open_workspace(workspace), to)
    if verify:
        data.verify_backup(to, id=made.id)
    if keep:
        data.prune_backups(to, keep=keep)
    show([made], _COLUMNS, as_json=json, title="backups")


def restore(
    source: Annotated[str, typer.Argument(help="Where backups are kept")],
    id: Annotated[str | None, typer.Option("--id", help="Which backup; default: the newest")] = None,  # noqa: A002
    update: Annotated[
        bool, typer.Option("--update", help="Replace what the workspace has; copy only what differs")
    ] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Bring a workspace to the state of a backup, checking every file."""
    from .. import data

    done = data.restore_backup(source, open_workspace(workspace), id=id, update=update)
    show([done], _COLUMNS, as_json=json, title="backups")
