"""The HTTP faces other than model endpoints: tracking, catalogue, features, events, status, in one application.

Started by `raylake server`, or as a Ray Serve application. Routers translate between HTTP and the layers below;
they decide nothing.
"""

from .app import create_app

__all__ = ["create_app"]
