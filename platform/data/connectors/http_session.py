"""Requests that wait their turn, and are tried again when that may help."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType

import httpx

from ...core import SourceError
from .http_auth import Auth

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 60.0
# An answer is held in memory: more than this is no page.
_LARGEST_ANSWER = 64 * 1024 * 1024


class HttpSession:
    """A connection pool with a rate limit, retries and authentication; a context manager, for one thread."""

    def __init__(
        self, *, headers: Mapping[str, str], auth: Auth, per_second: float, retries: int, timeout: float
    ) -> None:
        self._client = httpx.Client(headers=dict(headers), timeout=timeout, follow_redirects=True)
        self._auth = auth.flow(self._client)
        self._gap = 1.0 / per_second
        self._retries = retries
        self._next = 0.0

    def __enter__(self) -> HttpSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return its answer, whole.

        Raises:
            SourceError: It was refused (4xx), or failed after all retries.
        """
        url = _shown(request.url)
        for attempt in range(self._retries + 1):
            self._wait_turn()
            try:
                answer = self._send(request)
            except httpx.TransportError as error:
                if attempt == self._retries:
                    raise SourceError(f"{url} cannot be reached: {error or type(error).__name__}. Try later") from error
                time.sleep(_back_off(attempt))
                continue
            if answer.is_success:
                return answer
            if answer.status_code not in _AGAIN or attempt == self._retries:
                raise SourceError(_refused(url, answer))
            time.sleep(_told(answer) or _back_off(attempt))
        raise AssertionError("unreachable")

    def _send(self, request: httpx.Request) -> httpx.Response:
        prepared = self._client.build_request(request.method, request.url)
        answer = self._client.send(prepared, auth=self._auth, stream=True)
        try:
            body = bytearray()
            for block in answer.iter_bytes():
                body += block
                if len(body) > _LARGEST_ANSWER:
                    raise SourceError(
                        f"{_shown(request.url)} answers more than {_LARGEST_ANSWER // 1024 // 1024} MiB: "
                        "ask for smaller pages"
                    )
        finally:
            answer.close()
        headers = {
            key: value for key, value in answer.headers.items() if key not in ("content-encoding", "content-length")
        }
        return httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=prepared)

    def _wait_turn(self) -> None:
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + self._gap


def _back_off(attempt: int) -> float:
    """Exponential with full jitter."""
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt) * random.uniform(0.5, 1.0)


def _told(answer: httpx.Response) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number, or a date."""
    text = answer.headers.get("retry-after", "")
    if text.isdecimal():
        return min(_LONGEST_WAIT, float(text))
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return min(_LONGEST_WAIT, max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _refused(url: str, answer: httpx.Response) -> str:
    advice = {401: "Check auth=", 403: "Check auth= and its rights", 404: "Check the URL", 429: "Lower per_second"}
    hint = advice.get(answer.status_code, "Check URL and parameters" if answer.is_client_error else "Try later")
    return f"{url} answered {answer.status_code} {answer.reason_phrase}: {answer.text[:200]!r}. {hint}"


def _shown(url: httpx.URL) -> str:
    """Without the query, which may hold a key."""
    return str(url.copy_with(query=None))
