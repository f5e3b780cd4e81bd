"""What the server lets in: the limits and switches that whoever starts it may set."""

from __future__ import annotations

from dataclasses import dataclass

from ..core import ConfigError

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Policy:
    """What the server lets in.

    Attributes:
        authentication: Whether every caller needs a token. ``None``: only callers that do not come from loopback do.
        hosts: Names, beside ``localhost``, this machine's own and any IP address, under which clients may address
            the server. Others are refused: a web page whose name is made to point here (DNS rebinding) has such one.
        origins: Web origins such as ``https://ui.example.org`` whose pages may call the server (CORS); default none.
        body_bytes: Largest body of a request that is no file, default 16 MiB.
        file_bytes: Largest file that is uploaded in one request, default 16 GiB.
        body_seconds: How long the body of a request that is no file may take, default 30.
        stall_seconds: How long an upload may pause, default 60.
        depth: Deepest nesting of JSON, default 64.
        failures: Failed log-ins of one address within a minute, after which it has to wait, default 20.

    Raises:
        ConfigError: A limit is not positive, or an origin is not ``scheme://host[:port]``.

    Example:
        >>> Policy(authentication=True).depth
        64
        >>> Policy(origins=("*",))
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: origin '*' is not valid: use scheme://host or scheme://host:port
    """

    authentication: bool | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    body_bytes: int = 16 * MIB
    file_bytes: int = 16 * GIB
    body_seconds: float = 30.0
    stall_seconds: float = 60.0
    depth: int = 64
    failures: int = 20

    def __post_init__(self) -> None:
        for name in ("body_bytes", "file_bytes", "body_seconds", "stall_seconds", "depth", "failures"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)} is not valid: use a number above 0")
        for origin in self.origins:
            scheme, mark, place = origin.partition("://")
            if scheme not in ("http", "https") or not mark or not place or "/" in place or "*" in place:
                raise ConfigError(f"origin {origin!r} is not valid: use scheme://host or scheme://host:port")
