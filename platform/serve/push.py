"""Push on Ray Serve: events for configured sources, beside the endpoints of models."""

from __future__ import annotations

from typing import Any

from ..core import Workspace, ensure_ray
from .ingress import ensure_serve, serve_runs

APPLICATION = "raylake-push"
_ONGOING = 1024


def push(ws: Workspace, *, port: int | None = None) -> str:
    """Take events at ``POST <url>/{source}`` for every configured source whose connector is a `data.PushLog`.

    One replica takes them, on this machine, because the logs of events lie on its disk; Serve starts it again there
    when it dies. It answers when events are on the disk, and ingests them. See `raylake.data.push_app`.

    Args:
        ws: The workspace.
        port: Port on loopback when Serve has to be started; by default the workspace's.

    Returns:
        The URL below which sources are addressed, ``http://127.0.0.1:8000/push/events``.

    Raises:
        ConfigError: The port is taken.

    Example:
        >>> url = push(ws)
        >>> url.endswith("/push/events")
        True
        >>> stop_push(ws)
    """
    ensure_ray(ws)
    import ray
    from ray import serve

    base = ensure_serve(ws, port)
    here = f"node:{ray.util.get_node_ip_address()}"  # type: ignore[no-untyped-call]
    deployed = serve.deployment(
        name="push",
        num_replicas=1,
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": 1, "resources": {here: 0.001}},
    )(serve.ingress(lambda: _application(ws))())
    serve.run(deployed.bind(), name=APPLICATION, route_prefix="/push")
    return f"{base}/push/events"


def stop_push(ws: Workspace) -> None:
    """Take no more events on Serve; what is in the logs is ingested when it starts again, or by `data.run_once`.

    Example:
        >>> stop_push(ws)  # nothing happens when it does not run
    """
    ensure_ray(ws)
    if serve_runs():
        from ray import serve

        serve.delete(APPLICATION)


def _application(ws: Workspace) -> Any:
    from ..data import push_app

    return push_app(ws)
