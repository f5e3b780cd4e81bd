"""MLflow's REST protocol, so that its own client works unchanged."""

from .endpoint import Endpoint, Field, routes_of
from .server import SERVER

__all__ = ["ENDPOINTS", "Endpoint", "Field", "routes"]

ENDPOINTS: tuple[Endpoint, ...] = (*SERVER,)


def routes() -> list:  # type: ignore[type-arg]
    """Starlette routes of every endpoint."""
    return routes_of(ENDPOINTS)
