"""Posting to addresses that users name, without letting them reach what only this machine can (SSRF).

The host is resolved once, every address it has is checked, and the connection goes to the address that was checked:
a name that points elsewhere a moment later (DNS rebinding) changes nothing. Redirects are not followed, proxies of
the environment are not used, answers are read up to a limit. TLS still verifies the certificate of the named host.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigError, DataError

if TYPE_CHECKING:
    import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LONGEST_ANSWER = 64 << 10
LONGEST_URL = 2048
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")  # carrier-grade NAT, where clouds keep services


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status; ``None`` when no answer came.
        body: The first 64 KiB of the answer.
        error: Why no answer came, or ``""``.
        final: Whether trying again is pointless, because the address is refused.
    """

    status: int | None
    body: str = ""
    error: str = ""
    final: bool = False

    @property
    def ok(self) -> bool:
        """Whether the receiver accepted it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Allowed:
    """Destinations that may be reached although they are not public, also without TLS.

    Attributes:
        hosts: Names, in small letters.
        networks: Networks, such as ``10.1.0.0/16``.

    Example:
        >>> Allowed.parse("hooks.internal, 127.0.0.0/8").hosts
        frozenset({'hooks.internal'})
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Host names and networks, separated by commas.

        Raises:
            ConfigError: An entry with a slash is no network.
        """
        entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
        try:
            networks = tuple(ipaddress.ip_network(entry) for entry in entries if _is_network(entry))
        except ValueError as error:
            raise ConfigError(
                f"outbound_allow {text!r:.300} is not valid ({error}): use host names and networks such as 10.1.0.0/16"
            ) from error
        return cls(frozenset(entry for entry in entries if not _is_network(entry)), networks)

    def holds(self, host: str, address: Address) -> bool:
        """Whether a host or its address is named."""
        return host in self.hosts or any(address in network for network in self.networks)


def check_url(url: str, allowed: Allowed = Allowed()) -> str:
    """Return `url` if it may be posted to as far as its text tells; else raise. Nothing is resolved.

    Raises:
        DataError: It is no HTTPS URL with a host (HTTP is for allowed hosts), it holds a password, or its host is an
            address that is not public.

    Example:
        >>> check_url("https://hooks.example.org/raylake")
        'https://hooks.example.org/raylake'
        >>> check_url("https://169.254.169.254/latest/meta-data")
        Traceback (most recent call last):
        ...
        raylake.core.errors.DataError: URL 'https://169.254.169.254/latest/meta-data' is refused: 169.254.169.254 ...
    """
    parts = _split(url)
    host = parts.hostname or ""
    literal = _literal(host)
    if literal is not None and not _may_reach(host, literal, allowed):
        raise _refused(url, f"{host} is not a public address")
    if parts.scheme == "http" and host not in allowed.hosts and (literal is None or not allowed.holds(host, literal)):
        raise _refused(url, "use https")
    return url


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Allowed = Allowed(),
    seconds: float = 10.0,
) -> Answer:
    """Post `body` to `url`, once. It never raises for what the network or the receiver does.

    Args:
        url: Where.
        body: What.
        headers: Of the request; ``Host`` is set here.
        allowed: Destinations that need not be public.
        seconds: How long it may take altogether.

    Example:
        >>> post("https://127.0.0.1/", b"{}", {}).error
        "URL 'https://127.0.0.1/' is refused: 127.0.0.1 is not a public address. ..."
    """
    import httpx

    deadline = time.monotonic() + seconds
    try:
        parts = _split(check_url(url, allowed))
        addresses = _resolve(parts, allowed)
    except DataError as error:
        return Answer(None, error=str(error), final=True)
    except OSError as error:
        return Answer(None, error=f"host {urlsplit(url).hostname!r} cannot be resolved: {error}")
    problem = ""
    with httpx.Client(trust_env=False, follow_redirects=False) as client:
        for address in addresses:
            try:
                return _send(client, parts, address, body, headers, deadline)
            except httpx.ConnectError as error:
                problem = f"{parts.hostname} cannot be reached: {error}"
            except httpx.HTTPError as error:
                return Answer(None, error=f"{parts.hostname} gave no answer: {type(error).__name__} {error}".rstrip())
    return Answer(None, error=problem)


def is_public(address: Address) -> bool:
    """Whether an address is reachable from everywhere, also when it is wrapped in another one.

    Example:
        >>> [is_public(ipaddress.ip_address(text)) for text in ("8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::7f00:1")]
        [True, False, False]
    """
    inner = _unwrapped(address)
    if isinstance(inner, ipaddress.IPv4Address) and inner in _SHARED:
        return False
    special = inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast
    return inner.is_global and not (special or inner.is_reserved or inner.is_unspecified)


def _send(
    client: httpx.Client, parts: SplitResult, address: Address, body: bytes, headers: Mapping[str, str], deadline: float
) -> Answer:
    import httpx

    host = f"[{address}]" if address.version == 6 else str(address)
    port = f":{parts.port}" if parts.port else ""
    pinned = parts._replace(netloc=f"{host}{port}", fragment="").geturl()
    # The certificate is checked against the name, though the connection goes to the address.
    extensions = {"sni_hostname": parts.hostname}
    left = max(deadline - time.monotonic(), 0.1)
    sent = {**headers, "Host": parts.netloc}
    request = client.build_request(
        "POST", pinned, content=body, headers=sent, extensions=extensions, timeout=httpx.Timeout(left)
    )
    answer = client.send(request, stream=True)
    try:
        return Answer(answer.status_code, _read(answer, deadline))
    finally:
        answer.close()


def _read(answer: httpx.Response, deadline: float) -> str:
    found = bytearray()
    for chunk in answer.iter_raw():
        found += chunk
        if len(found) >= LONGEST_ANSWER or time.monotonic() > deadline:
            break
    return bytes(found[:LONGEST_ANSWER]).decode("utf-8", "replace")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_a_number = parts.port is None or parts.port > 0
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"URL {url!r:.300} is not valid: {error}. Use https://host/path") from error
    spaces = any(sign.isspace() or not sign.isprintable() for sign in url)
    if len(url) > LONGEST_URL or spaces or "\\" in url or not port_is_a_number:
        raise DataError(f"URL {url!r:.300} is not valid: use https://host/path, at most {LONGEST_URL} characters")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise DataError(f"URL {url!r:.300} is not valid: use https://host/path")
    if parts.username is not None or parts.password is not None:
        raise DataError(f"a URL with a user name or password is refused: {parts.hostname} would log it")
    return parts


def _resolve(parts: SplitResult, allowed: Allowed) -> Sequence[Address]:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    addresses = sorted((ipaddress.ip_address(str(text).partition("%")[0]) for text in found), key=str)
    for address in addresses:
        if not _may_reach(host, address, allowed):
            raise _refused(parts.geturl(), f"{host} is {address}, which is not a public address")
    return addresses


def _may_reach(host: str, address: Address, allowed: Allowed) -> bool:
    return is_public(address) or allowed.holds(host, address) or allowed.holds(host, _unwrapped(address))


def _unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and any(address in network for network in _NAT64):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_network(entry: str) -> bool:
    return "/" in entry or _literal(entry) is not None


def _refused(url: str, why: str) -> DataError:
    return DataError(f"URL {url!r:.300} is refused: {why}. To allow it, name it in the setting outbound_allow")
