"""How a request is refused before it reaches a route: one exception, one shape of answer."""

from __future__ import annotations

import orjson
from starlette.types import Send

_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}
Headers = tuple[tuple[bytes, bytes], ...]


class Refusal(Exception):  # not a RaylakeError: no handler of the routes may answer it
    """A request that is not let in.

    Attributes:
        status: The HTTP status.
        headers: Headers of the answer.
        body: The answer: what raylake's clients and what MLflow's read.
    """

    def __init__(self, status: int, kind: str, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        code = _CODES.get(status, "BAD_REQUEST")
        self.body = orjson.dumps({"error": kind, "error_code": code, "message": message})

    async def answer(self, send: Send, *, close: bool = False) -> None:
        """Send it; `close` ends the connection, so that a body which nobody reads is not sent on."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
        ]
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
