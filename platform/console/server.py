"""The application on one machine: uvicorn on a socket of our own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core import ConfigError, Workspace
from .hosts import is_address, is_loopback
from .policy import Policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server as UvicornServer

DEFAULT_PORT = 5000
BACKLOG = 2048
CONNECTIONS = 2000  # beyond, requests are answered 503
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens, and how it is reached.

    Attributes:
        host: Address or name to bind, default loopback only.
        port: Port, default 5000; 0 takes a free one.
        tls: Files of the certificate (chain) and its key, both PEM; ``None`` for plain HTTP.
        plain: Allow plain HTTP on an address that other machines reach: then tokens cross the network readable,
            unless a proxy in front speaks TLS.
        proxy: Address of a proxy in front whose ``X-Forwarded-For`` and ``-Proto`` are believed.

    Example:
        >>> Listen().loopback, Listen("0.0.0.0", plain=True).loopback
        (True, False)
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    tls: tuple[Path, Path] | None = None
    plain: bool = False
    proxy: str = ""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or is_loopback(self.host)


def run_server(
    workspaces: Mapping[str, Workspace],
    listen: Listen,
    policy: Policy,
    *,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are answered first.

    On an address other than loopback, behind a proxy, or under a name of one's own, authentication is on unless
    the policy says otherwise.

    Args:
        workspaces: By name; the first is the default.
        listen: Where.
        policy: What is let in.
        started: Called with the server's URL once it answers.

    Raises:
        ConfigError: The port is taken, the address is not this machine's, a TLS file cannot be used, or plain HTTP
            on a reachable address was not allowed.

    Example:
        >>> import tempfile
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> run_server({"default": ws}, Listen(host="203.0.113.7"), Policy())
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: other machines reach 203.0.113.7, and tokens would cross the network ...
    """
    from .app import create_app

    check_exposure(listen)
    bound = bind(listen)
    try:
        server = make_server(create_app(workspaces, policy=decided(listen, policy)), listen, started, bound)
        server.run(sockets=[bound])
    finally:
        bound.close()


def decided(listen: Listen, policy: Policy) -> Policy:
    """The policy with authentication switched on or off.

    Example:
        >>> decided(Listen(), Policy()).authentication, decided(Listen("0.0.0.0"), Policy()).authentication
        (False, True)
    """
    if policy.authentication is not None:
        return policy
    return replace(policy, authentication=not listen.loopback or bool(listen.proxy) or bool(policy.hosts))


def check_exposure(listen: Listen) -> None:
    """Refuse plain HTTP on an address that other machines reach, unless it was allowed.

    Raises:
        ConfigError: It was not.
    """
    if listen.loopback or listen.tls is not None or listen.plain:
        return
    raise ConfigError(
        f"other machines reach {listen.host}, and tokens would cross the network readable: give --tls-cert and "
        "--tls-key, or say --plain-http when a proxy in front speaks TLS or the network is private"
    )


def bind(listen: Listen) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: The port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((listen.host, listen.port))
        bound.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigError(
            f"the server cannot listen on {listen.host} port {listen.port} ({error}): "
            "stop what listens there, or give --port another number (0 takes a free one)"
        ) from error
    return bound


def make_server(app: ASGIApp, listen: Listen, started: Callable[[str], None], bound: socket.socket) -> UvicornServer:
    """uvicorn for an application, configured but not started.

    Raises:
        ConfigError: A TLS file cannot be used.
    """
    import uvicorn

    from .connection import Connection

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started(url_of(listen, bound.getsockname()[1]))

    config = uvicorn.Config(
        app,
        http=Connection,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(listen.proxy),
        forwarded_allow_ips=listen.proxy or None,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=listen.tls[0] if listen.tls else None,
        ssl_keyfile=listen.tls[1] if listen.tls else None,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(f"the TLS files {listen.tls} cannot be used: {error}. Give PEM files that fit") from error
    return Announced(config)


def url_of(listen: Listen, port: int) -> str:
    """The URL under which this machine reaches the server.

    Example:
        >>> url_of(Listen("0.0.0.0"), 5000), url_of(Listen("::1"), 80)
        ('http://127.0.0.1:5000', 'http://[::1]:80')
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    if is_address(host) and ":" in host:
        host = f"[{host}]"
    return f"{'https' if listen.tls else 'http'}://{host}:{port}"
