"""MLflow's REST protocol, so that its own client works unchanged."""

from .endpoint import Endpoint, Field, routes_of
from .experiments import EXPERIMENTS
from .inputs import INPUTS
from .logging import LOGGING
from .metrics import METRICS
from .runs import RUNS
from .server import SERVER

__all__ = ["ENDPOINTS", "Endpoint", "Field", "routes"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *LOGGING,
    *RUNS,
    *METRICS,
    *INPUTS,
    *EXPERIMENTS,
    *SERVER,
)  # the busiest first: routes are tried in order


def routes() -> list:  # type: ignore[type-arg]
    """Starlette routes of every endpoint."""
    return routes_of(ENDPOINTS)
