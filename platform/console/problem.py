"""The one place where raylake's errors become HTTP statuses."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from ..core import (
    ArtifactCorrupt,
    ComputeUnavailable,
    ConfigError,
    Conflict,
    DataError,
    InvalidName,
    NotFound,
    RaylakeError,
    StorageError,
)

_STATUS: tuple[tuple[type[RaylakeError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (InvalidName, 400),
    (ConfigError, 400),
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
    return JSONResponse({"error": type(error).__name__, "message": str(error)}, status_code=status_of(error))
