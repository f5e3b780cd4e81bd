"""The one place where raylake's errors become HTTP statuses."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ..core import (
    AccessDenied,
    ArtifactCorrupt,
    ComputeUnavailable,
    ConfigError,
    Conflict,
    DataError,
    InvalidName,
    NotAuthenticated,
    NotFound,
    RaylakeError,
    StorageError,
)

_MOST_TOLD = 10
_LONGEST_TOLD = 2000
_STATUS: tuple[tuple[type[RaylakeError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InvalidName, 400),
    (ConfigError, 400),
    (NotAuthenticated, 401),
    (AccessDenied, 403),
    (DataError, 422),
    (StorageError, 503),
    (ComputeUnavailable, 503),
    (ArtifactCorrupt, 500),
)


def status_of(error: RaylakeError) -> int:
    """The HTTP status of an error.

    Example:
        >>> status_of(NotFound("no such run"))
        404
    """
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


async def problem_response(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that ended in one of raylake's errors: ``{"error": kind, "message": text}``."""
    assert isinstance(error, RaylakeError)
    return _problem(status_of(error), type(error).__name__, str(error))


async def invalid_response(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose fields are missing or of the wrong type; the values are not repeated."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:_MOST_TOLD]]
    more = f"; and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return _problem(422, "InvalidRequest", "; ".join(told)[:_LONGEST_TOLD] + more)


async def http_response(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that no route takes."""
    assert isinstance(error, HTTPException)
    told = {404: "there is nothing at this path", 405: f"{request.method} is not possible here"}
    answer = _problem(error.status_code, "HttpError", told.get(error.status_code, str(error.detail)))
    answer.headers.update(error.headers or {})
    return answer


async def crash_response(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that met a defect of raylake; what happened is in the server's log, not in the answer."""
    return _problem(500, "InternalError", "the server failed to answer this request; its log says why")


def _problem(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse(
        {"error": kind, "message": message}, status_code=status, headers={"x-content-type-options": "nosniff"}
    )
