"""The HTTP faces other than model endpoints: tracking, catalogue, features, events, status, in one application.

Started by `raylake server`, or as a Ray Serve application. Routers translate between HTTP and the layers below;
they decide nothing. Who may enter is decided at one door, in `guard.py`.
"""

from .app import create_app
from .deploy import deploy, undeploy
from .doorman import CACHE_SECONDS
from .policy import Policy
from .server import Listen, run_server

__all__ = ["CACHE_SECONDS", "Listen", "Policy", "create_app", "deploy", "run_server", "undeploy"]
