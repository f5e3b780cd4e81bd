"""`raylake token ...` and `raylake audit`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from .options import JsonOption, WorkspaceOption, existing_workspace, open_workspace, plain, print_json, show

group = typer.Typer(no_args_is_help=True)


@group.command()
def create(
    user: Annotated[str, typer.Argument(help="Whom the token speaks for")],
    role: Annotated[str, typer.Option(help="viewer, editor or admin")] = "viewer",
    scope: Annotated[list[str] | None, typer.Option(help="Narrow the role: read, write, admin")] = None,
    days: Annotated[float, typer.Option(help="Days until it expires")] = 90.0,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Valid until it is revoked")] = False,
    note: Annotated[str, typer.Option(help="What it is for")] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token and print it, once."""
    from ..registry import access

    made = access.create_token(
        open_workspace(workspace), user, role=role, scopes=scope, days=None if never_expires else days, note=note
    )
    if json:
        print_json({**plain(made.token), "secret": made.secret})
        return
    until = "never expires" if made.token.expires_at is None else f"valid until {made.token.expires_at:%Y-%m-%d}"
    out = Console(highlight=False, soft_wrap=True)
    out.print(f"token {made.token.id} of {user}, {role}, {until}; it is shown only now:", markup=False)
    out.print(made.secret, markup=False)
    out.print("use: export MLFLOW_TRACKING_TOKEN=...")


@group.command("list")
def list_(
    user: Annotated[str | None, typer.Option(help="Only this user's")] = None,
    active: Annotated[bool, typer.Option("--active", help="Leave out expired and revoked ones")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Tokens, newest first; never their secrets."""
    from ..registry import access

    found = access.tokens(existing_workspace(workspace), user=user, active=active)
    rows = [{**plain(token), "state": token.state()} for token in found]
    if not json:
        # The id is what `revoke` takes: everything else is kept short, so that it is never cut.
        for row, token in zip(rows, found, strict=True):
            row |= {"expires": _short(token.expires_at)[:10], "last_used": _short(token.last_used_at)[:10]}
    show(rows, ("id", "user", "role", "state", "expires", "last_used", "note"), as_json=json, title="tokens")


@group.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The id that `raylake token list` shows")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Refuse a token from now on; running servers notice within five seconds."""
    from ..registry import access

    revoked = access.revoke_token(existing_workspace(workspace), token_id)
    show([{**plain(revoked), "state": revoked.state()}], ("id", "user", "state"), as_json=json, title="tokens")


def audit(
    user: Annotated[str | None, typer.Option(help="Only what this user did")] = None,
    action: Annotated[str | None, typer.Option(help="Only actions that contain this text")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only from this moment on, UTC")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
    keep: Annotated[str, typer.Option(help="First remove what is older, such as 90d; this is recorded")] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Who changed what, when and from where; newest first."""
    from datetime import UTC

    from ..registry import access

    moment = None if since is None else since.replace(tzinfo=since.tzinfo or UTC)
    ws = existing_workspace(workspace)
    if keep:
        access.expire_audit(ws, keep)
    found = access.audit(ws, user=user, action=action, since=moment, limit=limit)
    if json:
        print_json(found)
        return
    rows = [{**plain(entry), "when": _short(entry.at)} for entry in found]
    show(rows, ("when", "user", "address", "action", "subject", "count"), as_json=False, title="changes")


def _short(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
