"""raylake's errors as MLflow's: ``{"error_code": ..., "message": ...}`` with the status its client expects."""

from __future__ import annotations

import orjson
from starlette.responses import Response

from ....core import Conflict, DataError, Deleted, NotFound, RaylakeError, StorageError
from ...problem import status_of

_CODES: tuple[tuple[type[RaylakeError], str, int], ...] = (
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (Deleted, "INVALID_PARAMETER_VALUE", 400),
    (Conflict, "RESOURCE_ALREADY_EXISTS", 400),
    (DataError, "INVALID_PARAMETER_VALUE", 400),
    (StorageError, "TEMPORARILY_UNAVAILABLE", 503),
)


def invalid_parameter(message: str) -> DataError:
    """A request that breaks the protocol."""
    return DataError(message)


def failure(error: RaylakeError) -> Response:
    """The answer to a request that ended in one of raylake's errors."""
    status = status_of(error)
    code, status = next(
        ((code, status) for kind, code, status in _CODES if isinstance(error, kind)),
        ("INVALID_PARAMETER_VALUE" if status < 500 else "INTERNAL_ERROR", status),
    )
    body = {"error_code": code, "message": str(error)}
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")
