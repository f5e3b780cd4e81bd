"""Bodies: gathered whole and checked before a route sees them, or passed on in pieces up to a limit.

A body that is no file reaches its route in one piece, so a slow or endless sender occupies no route, and a route
is never left with half a message.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from starlette.types import Message, Receive

from .policy import Policy
from .refusal import Refusal

_OPENERS = b"[{"
_ALL_BUT_BRACKETS = bytes(each for each in range(256) if each not in b"[]{}")
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


class Disconnected(Exception):
    """The caller went away before the request was whole: nobody is there to answer to."""


def check_head(head: Mapping[bytes, bytes], limit: int) -> int | None:
    """The announced length of a body, or ``None``.

    Raises:
        Refusal: 413 when it exceeds the limit, 415 when it is compressed (a small one may unpack to gigabytes).
    """
    if head.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
        raise Refusal(415, "Compressed", "compressed bodies are not accepted: send it as it is")
    length = head.get(b"content-length")
    if length is None:
        return None
    if not length.isdigit():
        raise Refusal(400, "BadLength", f"content-length {length[:40].decode('latin-1')!r} is not a number")
    if len(length) > 18 or int(length) > limit:
        raise too_large(limit)
    return int(length)


def too_large(limit: int) -> Refusal:
    """The answer to a body beyond its limit."""
    return Refusal(413, "TooLarge", f"the body has more than {limit} bytes: send less at a time")


async def gather(receive: Receive, policy: Policy) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413 when it is too large, 408 when it takes too long, 400 when it is nested too deeply.
        Disconnected: The caller went away.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise Disconnected
    if message.get("more_body"):
        body = await _rest(body, receive, policy)
    if len(body) > policy.body_bytes:
        raise too_large(policy.body_bytes)
    if body.count(b"[") + body.count(b"{") > policy.depth and too_deep(body, policy.depth):
        raise Refusal(400, "TooDeep", f"the body is nested deeper than {policy.depth} levels")
    return body


async def _rest(first: bytes, receive: Receive, policy: Policy) -> bytes:
    parts, size = [first], len(first)
    try:
        async with asyncio.timeout(policy.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > policy.body_bytes:
                    raise too_large(policy.body_bytes)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise Refusal(408, "TooSlow", f"the body did not arrive within {policy.body_seconds:g} s") from None


def replayed(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the gathered body once, then what follows on the real one."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


class Metered:
    """A channel that counts the bytes of a file and watches that it does not stall.

    Attributes:
        refusal: Why the rest was not read, once that has happened. The route sees it as an exception; whatever
            the route makes of that, this is what the caller is told.
    """

    def __init__(self, receive: Receive, policy: Policy) -> None:
        self._receive = receive
        self._policy = policy
        self._size = 0
        self._whole = False
        self.refusal: Refusal | None = None

    async def __call__(self) -> Message:
        """The next piece."""
        if self._whole:  # whoever still listens waits for the caller to go away
            return await self._receive()
        try:
            async with asyncio.timeout(self._policy.stall_seconds):
                message = await self._receive()
        except TimeoutError:
            self.refusal = Refusal(408, "TooSlow", f"nothing arrived for {self._policy.stall_seconds:g} s")
            raise self.refusal from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body")
        if self._size > self._policy.file_bytes:
            self.refusal = too_large(self._policy.file_bytes)
            raise self.refusal
        return message


def too_deep(body: bytes, depth: int) -> bool:
    """Whether brackets are nested deeper than `depth`; exact for JSON, and quick for the usual shapes.

    Example:
        >>> too_deep(b'[[[]]]', 2), too_deep(b'[[[]]]', 3), too_deep(b'["[[["]', 1)
        (True, False, False)
    """
    brackets = body.translate(None, _ALL_BUT_BRACKETS)
    for _ in range(depth):
        # Each round takes the innermost level away; only brackets inside strings can spoil it.
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not fewer:
            return False
        if len(fewer) == len(brackets):
            break
        brackets = fewer
    level = 0
    for found in _STRUCTURE.finditer(body):
        mark = found.group()[:1]
        level += (mark in _OPENERS) - (mark in b"]}")
        if level > depth:
            return True
    return False
