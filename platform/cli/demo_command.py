"""`raylake demo`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer
from rich.console import Console

from ..core import Workspace
from .options import JsonOption, WorkspaceOption, open_workspace, print_json

CURL = """curl -s {url} -H 'Content-Type: application/json' -d '{{"rows": [{{
  "carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400, "tailnum": "N14228",
  "scheduled_at": "2013-12-31T22:15:00Z"}}]}}'"""


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Three days of each month, three trials")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the endpoint up afterwards")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """The year of flights: raw files, features, model, endpoint, drift, a better model promoted by itself."""
    from ..demo import LiveDisplay, Options, Silent, tell

    ws = open_workspace(workspace)
    console = Console(file=sys.stdout)
    # Ray prints messages of its own on standard output; that is kept for the result.
    with redirect_stdout(sys.stderr):
        result = tell(ws, Options(fast=fast), Silent() if json else LiveDisplay(console), keep=keep)
    if json:
        print_json(result.to_json())
    elif keep:
        console.print(_how_to_call(ws), markup=False, highlight=False, soft_wrap=True)
    else:
        console.print("Dashboard and endpoint ended with this command; --keep leaves them up.", style="dim")


def _how_to_call(ws: Workspace) -> str:
    from .. import registry

    url = registry.deployment(ws, "flight-delay").url
    stop = f"raylake down --workspace {ws.root}"
    return f"\nThe endpoint stays up. Call it:\n\n{CURL.format(url=url)}\n\nStop it:\n\n{stop}"
