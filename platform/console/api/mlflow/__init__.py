"""MLflow's REST protocol, so that its own client works unchanged."""

from . import artifacts
from .endpoint import Endpoint, Field, routes_of
from .experiments import EXPERIMENTS
from .inputs import INPUTS
from .logged_models import LOGGED_MODELS
from .logging import LOGGING
from .metrics import METRICS
from .models import MODELS
from .runs import RUNS
from .server import SERVER
from .versions import VERSIONS
from .webhooks import WEBHOOKS

__all__ = ["ENDPOINTS", "Endpoint", "Field", "routes"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *LOGGING,
    *RUNS,
    *METRICS,
    *INPUTS,
    *EXPERIMENTS,
    *MODELS,
    *VERSIONS,
    *LOGGED_MODELS,
    *WEBHOOKS,
    *SERVER,
)  # the busiest first: routes are tried in order


def routes() -> list:  # type: ignore[type-arg]
    """Starlette routes of every endpoint."""
    return [*routes_of(ENDPOINTS), *artifacts.routes()]
