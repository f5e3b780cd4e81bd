"""`raylake server`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import WorkspaceOption, open_workspace


def server(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one")] = 5000,
    workspace: WorkspaceOption = None,
) -> None:
    """The tracking server and the other HTTP faces of a workspace; MLflow's client works against it."""
    import uvicorn

    from ..console import create_app

    uvicorn.run(create_app(open_workspace(workspace)), host=host, port=port, log_level="warning")
