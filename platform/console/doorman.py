"""Who is calling: tokens checked against the registry, remembered for seconds, and a limit on failed attempts."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from starlette.concurrency import run_in_threadpool

from ..core import NotAuthenticated, StorageError, Workspace
from ..registry.access import PERMISSIONS, Token, verify
from .hosts import network
from .refusal import Headers, Refusal

CACHE_SECONDS = 5.0  # how long after its revocation by another process a token may still be accepted
WINDOW_SECONDS = 60.0
_REMEMBERED = 10_000
_LONGEST = 1024  # bytes of an Authorization header
_CHALLENGE: Headers = (
    (b"www-authenticate", b'Bearer realm="raylake"'),
    (b"www-authenticate", b'Basic realm="raylake", charset="UTF-8"'),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        user: The token's user, or ``anonymous``.
        token_id: Id of the token, or ``""``.
        permissions: What the caller may do.
        address: Where the request came from.

    Example:
        >>> Caller("ann", "0f", ("read",), "10.0.0.7").user
        'ann'
    """

    user: str
    token_id: str
    permissions: tuple[str, ...]
    address: str


@lru_cache(1024)
def anonymous(address: str) -> Caller:
    """A caller of a server without authentication, who may do everything."""
    return Caller("anonymous", "", PERMISSIONS, address)


class Attempts:
    """Failed attempts by network, each forgotten after a minute; not for threads.

    Example:
        >>> attempts = Attempts(2, clock=lambda: 0.0)
        >>> attempts.count("10.0.0.7"), attempts.wait("10.0.0.7")
        (None, 0.0)
        >>> attempts.count("10.0.0.7"), attempts.wait("10.0.0.7"), attempts.wait("10.0.0.8")
        (None, 60.0, 0.0)
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._failed: dict[str, tuple[int, float]] = {}

    def count(self, address: str) -> None:
        """One more attempt failed."""
        key, now = network(address), self._clock()
        failed, until = self._failed.pop(key, (0, 0.0))
        if until <= now:
            failed, until = 0, now + WINDOW_SECONDS
        self._failed[key] = (failed + 1, until)
        if len(self._failed) > _REMEMBERED:
            del self._failed[next(iter(self._failed))]

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 for now."""
        failed, until = self._failed.get(network(address), (0, 0.0))
        return max(0.0, until - self._clock()) if failed >= self._most else 0.0


class Doorman:
    """Checks tokens. Belongs to one event loop.

    A token that was accepted is accepted again without a look at the registry for `CACHE_SECONDS`, and never
    beyond its expiry. `forget` makes a revocation through this server immediate.

    Example:
        >>> import asyncio, tempfile
        >>> from raylake.registry.access import create_token
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> bearer = f"Bearer {create_token(ws, 'ann').secret}".encode()
        >>> asyncio.run(Doorman(failures=20).admit("prod", ws, bearer, "10.0.0.7")).user
        'ann'
    """

    def __init__(self, failures: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._attempts = Attempts(failures, clock)
        self._clock = clock
        self._known: dict[tuple[str, bytes], tuple[Caller, float]] = {}

    async def admit(self, name: str, ws: Workspace, authorization: bytes | None, address: str) -> Caller:
        """The caller whose token the Authorization header carries.

        Raises:
            Refusal: 401 without a valid token, 429 after too many failures, 503 when the registry cannot be read.
        """
        if authorization is None:
            raise _unauthorised("a token is needed: send it as bearer token, or as the password of any user")
        key = (name, authorization)
        known = self._known.get(key)
        if known is None or known[1] <= self._clock():
            known = await self._look_up(key, ws, address, seen=known is not None)
        caller = known[0]
        return caller if caller.address == address else replace(caller, address=address)

    def forget(self) -> None:
        """Look every token up again at its next use."""
        self._known.clear()

    async def _look_up(
        self, key: tuple[str, bytes], ws: Workspace, address: str, *, seen: bool
    ) -> tuple[Caller, float]:
        # A token that was good a moment ago is looked up again even while its neighbours behind one address guess.
        if not seen and (wait := self._attempts.wait(address)) > 0:
            retry: Headers = ((b"retry-after", str(int(wait) + 1).encode()),)
            raise Refusal(429, "TooManyAttempts", "too many failed log-ins from this address: wait a minute", retry)
        self._known.pop(key, None)
        try:
            token = await run_in_threadpool(verify, ws, secret_of(key[1]))
        except NotAuthenticated as error:
            self._attempts.count(address)
            _log.warning("log-in failed from %s in workspace %s: %s", address, key[0], error)
            raise _unauthorised(str(error)) from None
        except StorageError as error:
            raise Refusal(503, "StorageError", "tokens cannot be checked now: try again") from error
        until = self._clock() + CACHE_SECONDS
        if token.expires_at is not None:
            left = (token.expires_at - datetime.now(UTC)).total_seconds()
            until = min(until, self._clock() + left)
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        known = self._known[key] = (_caller(token, address), until)
        return known


def _caller(token: Token, address: str) -> Caller:
    allowed = tuple(each for each in PERMISSIONS if token.allows(each))
    return Caller(token.user, token.id, allowed, address)


def secret_of(authorization: bytes) -> str:
    """The token in an Authorization header: ``Bearer TOKEN``, or ``Basic`` with the token as password.

    Raises:
        NotAuthenticated: It has another form, or the password is empty.

    Example:
        >>> secret_of(b"Bearer abc"), secret_of(b"Basic YW5uOmFiYw==")
        ('abc', 'abc')
    """
    scheme, _, rest = authorization[:_LONGEST].decode("latin-1").partition(" ")
    text = rest.strip()
    if scheme.lower() == "basic":
        try:
            text = base64.b64decode(text, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            text = ""
    elif scheme.lower() != "bearer":
        raise NotAuthenticated("the Authorization header is neither 'Bearer TOKEN' nor 'Basic ...'")
    if not text:
        raise NotAuthenticated("the token is empty")
    return text


def _unauthorised(message: str) -> Refusal:
    return Refusal(401, "NotAuthenticated", message, _CHALLENGE)
