"""`raylake server`."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..core import ConfigError, Workspace, check_name
from .options import JsonOption, print_json

_NAMED = re.compile(r"([^/=]*)=(.+)", re.DOTALL)
WorkspacesOption = Annotated[
    list[str] | None,
    typer.Option("--workspace", "-w", help="Storage root, or NAME=ROOT; several times for several workspaces"),
]


def server(
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one", min=0, max=65535)] = 5000,
    workspace: WorkspacesOption = None,
    auth: Annotated[
        bool | None, typer.Option("--auth/--no-auth", help="Ask for tokens; default: unless only loopback can connect")
    ] = None,
    allowed_host: Annotated[list[str] | None, typer.Option(help="A name under which clients address it")] = None,
    allowed_origin: Annotated[list[str] | None, typer.Option(help="A web origin whose pages may call it")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM")] = None,
    plain_http: Annotated[bool, typer.Option(help="Allow HTTP without TLS beyond loopback")] = False,
    proxy: Annotated[str, typer.Option(help="Address of a proxy in front whose X-Forwarded-For is believed")] = "",
    json: JsonOption = False,
) -> None:
    """The tracking server and the other HTTP faces of workspaces; MLflow's client works against it."""
    from ..console import Listen, Policy, run_server
    from ..console.server import decided

    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("a certificate needs its key and a key its certificate: give --tls-cert and --tls-key")
    tls = (tls_cert, tls_key) if tls_cert is not None and tls_key is not None else None
    workspaces = _open(workspace or [])
    listen = Listen(host, port, tls, plain_http, proxy)
    policy = Policy(authentication=auth, hosts=tuple(allowed_host or ()), origins=tuple(allowed_origin or ()))
    policy = decided(listen, policy)

    def started(url: str) -> None:
        if json:
            print_json({"url": url, "workspaces": list(workspaces), "authentication": policy.authentication})
        else:
            _tell(url, workspaces, authentication=bool(policy.authentication), loopback=listen.loopback)

    # Ctrl-C is how a server is stopped, not a command that was interrupted.
    with suppress(KeyboardInterrupt):
        run_server(workspaces, listen, policy, started=started)


def _open(given: list[str]) -> dict[str, Workspace]:
    if not given:
        ws = Workspace.open()
        return {ws.name: ws}
    found: dict[str, Workspace] = {}
    for text in given:
        named = _NAMED.fullmatch(text)
        name = check_name(named.group(1), "workspace name") if named else ""
        ws = Workspace.open(named.group(2) if named else text)
        name = name or ws.name
        if name in found:
            raise ConfigError(f"two workspaces are called {name!r}: name them apart, --workspace NAME=ROOT")
        found[name] = ws
    return found


def _tell(url: str, workspaces: dict[str, Workspace], *, authentication: bool, loopback: bool) -> None:
    from ..registry import access

    out = Console(highlight=False, soft_wrap=True)
    default = next(iter(workspaces))
    for name, ws in workspaces.items():
        place = url if name == default else f"{url}/w/{name}"
        out.print(f"{name}: {ws.root}", markup=False)
        out.print(f"  export MLFLOW_TRACKING_URI={place}", markup=False)
        if authentication and not access.tokens(ws, active=True):
            out.print(f"  no token yet: raylake token create USER --role admin --workspace {ws.root}", markup=False)
    if authentication:
        out.print("callers need a token: export MLFLOW_TRACKING_TOKEN=...")
    elif not loopback:
        out.print("[bold red]no authentication[/]: everybody who reaches this address may change everything")
    out.print("stop with Ctrl-C")
