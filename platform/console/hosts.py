"""Host and Origin: whether a request was meant for this server, and by whom.

DNS rebinding needs a *name* that an attacker controls in the Host header; addresses written as numbers cannot be
rebound. Cross-site requests carry an Origin (or Sec-Fetch-Site) that a page cannot forge.
Sources: RFC 9110 section 7.2; Fetch Metadata Request Headers (W3C); CVE-2025-14279.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from functools import lru_cache

from .policy import Policy
from .refusal import Refusal

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::([0-9]{1,5}))?")
_REMEMBERED = 256  # headers whose verdict is kept


class Hosts:
    """The names of one server.

    Example:
        >>> hosts = Hosts(Policy(hosts=("lake.example.org",)))
        >>> [hosts.known(text) for text in (b"localhost:5000", b"10.0.0.7", b"lake.example.org", b"evil.example")]
        [True, True, True, False]
    """

    def __init__(self, policy: Policy) -> None:
        own = {"localhost", socket.gethostname(), socket.getfqdn()}
        self._names = frozenset(name.lower().rstrip(".") for name in (*own, *policy.hosts))
        self._origins = frozenset(origin.encode() for origin in policy.origins)
        self.known = lru_cache(_REMEMBERED)(self._known)

    def check(self, head: Mapping[bytes, bytes], method: str) -> None:
        """Refuse a request that was meant for another host, or that a foreign web page sent.

        Raises:
            Refusal: 400 for the host, 403 for the origin.
        """
        host = head.get(b"host")
        if host is None or not self.known(host):
            told = "no Host header" if host is None else f"host {host.decode('latin-1')[:200]!r}"
            raise Refusal(
                400, "BadHost", f"{told}: this server is not known by that name. Start it with --allowed-host"
            )
        origin = head.get(b"origin")
        if origin is not None:
            if origin not in self._origins and origin.partition(b"://")[2] != host:
                raise Refusal(403, "BadOrigin", "pages of another web site may not call this server")
        elif head.get(b"sec-fetch-site") == b"cross-site" and not _follows_link(head, method):
            raise Refusal(403, "BadOrigin", "pages of another web site may not call this server")

    def _known(self, host: bytes) -> bool:
        found = _AUTHORITY.fullmatch(host.decode("latin-1"))
        if found is None:
            return False
        name = found.group(1).lower().rstrip(".")
        return name in self._names or is_address(name.strip("[]"))


def _follows_link(head: Mapping[bytes, bytes], method: str) -> bool:
    return method == "GET" and head.get(b"sec-fetch-mode") == b"navigate" and head.get(b"sec-fetch-dest") == b"document"


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address.

    Example:
        >>> is_address("::1"), is_address("127.0.0.1"), is_address("127.0.0.1.example.org"), is_address("0x7f.1")
        (True, True, False, False)
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(1024)
def is_loopback(address: str) -> bool:
    """Whether a caller's address is this machine's own; names and what is no address are not.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::ffff:127.0.0.1"), is_loopback("10.0.0.1"), is_loopback("")
        (True, True, False, False)
    """
    if not is_address(address):
        return False
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_loopback


@lru_cache(1024)
def network(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 network that one IPv6 user has.

    Example:
        >>> network("10.0.0.7"), network("2001:db8::17")
        ('10.0.0.7', '2001:db8::/64')
    """
    if not is_address(address) or ":" not in address:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
