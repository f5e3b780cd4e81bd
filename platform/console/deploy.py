"""The same application on a cluster: a Ray Serve application beside the model endpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx

from ..core import ComputeUnavailable, ConfigError, DeploymentFailed, Workspace, ensure_ray
from .app import create_app
from .policy import Policy

# No endpoint can have this name: names of endpoints hold no dot.
APPLICATION = "raylake.console"
START_TIMEOUT = 120.0
ONGOING = 256
# All callers share the address of Serve's front, so one who guesses must not lock out the others.
FAILURES = 2000


class Console:
    """The Serve deployment class: builds the application in the replica's own process."""

    def __init__(self, workspaces: Mapping[str, Workspace], policy: Policy) -> None:
        self._workspaces = workspaces
        self._policy = policy

    def __serve_build_asgi_app__(self) -> Any:
        """What Serve asks for the application."""
        return create_app(self._workspaces, policy=self._policy)


def deploy(
    ws: Workspace | Mapping[str, Workspace],
    *,
    route: str = "/console",
    policy: Policy | None = None,
    port: int | None = None,
    replicas: int = 1,
    cpus: float = 0.5,
) -> str:
    """Run the console on the workspace's cluster, behind the front of Ray Serve; returns when it answers.

    Callers need a token unless the policy says otherwise. Several replicas need a registry on PostgreSQL when they
    may run on several nodes.

    Args:
        ws: The workspace, or several by name; the first one's cluster is used.
        route: Path below which it answers; MLflow's tracking URI then ends with it.
        policy: What is let in; default: callers need a token, other hosts' names are refused.
        port: Port when Serve is not running yet; by default the workspace's `http_port`. 0 takes a free one.
        replicas: Number of processes.
        cpus: Logical CPUs of each.

    Returns:
        The URL, such as ``http://127.0.0.1:8000/console``.

    Raises:
        ConfigError: The route is not an absolute path, or the port is taken.
        ComputeUnavailable: No node can hold a replica.
        DeploymentFailed: It did not come up; nothing is left behind.

    Example:
        >>> url = deploy(ws)
        >>> url.startswith("http://127.0.0.1:"), undeploy(ws)
        (True, True)
    """
    # Imported here: a server on one machine loads neither Ray nor what models need.
    from ..serve.ingress import ensure_serve

    workspaces = {ws.name: ws} if isinstance(ws, Workspace) else dict(ws)
    if not workspaces or not route.startswith("/") or (route != "/" and route.endswith("/")):
        raise ConfigError(f"route {route!r} is not valid: use an absolute path such as /console, and a workspace")
    given = policy or Policy()
    decided = replace(
        given,
        authentication=True if given.authentication is None else given.authentication,
        failures=max(given.failures, FAILURES),
    )
    home = next(iter(workspaces.values()))
    session = ensure_ray(home)
    if cpus > session.cpus:
        raise ComputeUnavailable(f"the console needs {cpus:g} CPUs and the cluster has {session.cpus:g}: lower cpus=")
    url = ensure_serve(home, port).rstrip("/") + route.rstrip("/")
    try:
        _run(workspaces, decided, route, replicas, cpus)
        _probe(url)
    except DeploymentFailed:
        undeploy(home)
        raise
    return url


def undeploy(ws: Workspace) -> bool:
    """Take the console down; endpoints go on.

    Returns:
        Whether it ran.

    Example:
        >>> undeploy(ws)  # it does not run
        False
    """
    from ray import serve

    from ..serve.ingress import serve_runs

    ensure_ray(ws)
    if not serve_runs() or APPLICATION not in serve.status().applications:
        return False
    serve.delete(APPLICATION)
    return True


def _run(workspaces: Mapping[str, Workspace], policy: Policy, route: str, replicas: int, cpus: float) -> None:
    from ray import serve
    from ray.serve.api import RunTarget
    from ray.serve.exceptions import RayServeException

    from ..serve.ingress import QUIET

    options = serve.deployment(
        name="console",
        num_replicas=replicas,
        ray_actor_options={"num_cpus": cpus},
        max_ongoing_requests=ONGOING,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=20,
        max_constructor_retry_count=2,
        logging_config=QUIET,
    )
    bound = options(serve.ingress()(Console)).bind(workspaces, policy)
    try:
        serve.run_many([RunTarget(bound, APPLICATION, route, logging_config=QUIET)], wait_for_applications_running=True)
    except (RuntimeError, RayServeException) as error:
        raise DeploymentFailed(f"the console did not start: {error}") from error


def _probe(url: str) -> None:
    """Ask through the front door until the application answers; the front learns of it with a short delay."""
    deadline, last = time.monotonic() + START_TIMEOUT, "no answer"
    while time.monotonic() < deadline:
        try:
            reply = httpx.get(f"{url}/api/raylake/me", timeout=START_TIMEOUT)
            if reply.status_code in (200, 401) and "content-security-policy" in reply.headers:
                return
            last = f"{reply.status_code} {reply.text[:300]}"
        except httpx.HTTPError as error:
            last = f"{type(error).__name__}: {error}"
        time.sleep(0.05)
    raise DeploymentFailed(f"the console started but does not answer at {url}: {last}")
