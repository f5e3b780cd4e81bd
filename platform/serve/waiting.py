"""Waiting for what an endpoint does in the background: an alias move, the capture of rows."""

from __future__ import annotations

import time
from typing import Any

import httpx

from .. import data
from ..core import DeploymentFailed, Workspace
from ..registry import deployment, model_version, record_deployment
from .deploy import status
from .values import PREDICTIONS, Endpoint

_PAUSE = 0.1


def wait_for_version(endpoint: Endpoint, version: int, timeout: float = 30.0) -> None:
    """Wait until every replica answers with `version`, and record it as what is deployed.

    Args:
        endpoint: The endpoint.
        version: Model version that the endpoint's alias points at.
        timeout: Seconds.

    Raises:
        DeploymentFailed: Not all replicas answered with it in time; the message says what they run and why.

    Example:
        >>> wait_for_version(endpoint, 1)
        >>> wait_for_version(endpoint, 2, timeout=0.2)
        Traceback (most recent call last):
        ...
        raylake.core.errors.DeploymentFailed: endpoint 'flight-delay' does not answer with version 2 after 0.2 s ...
    """
    deadline = time.monotonic() + timeout
    seen: dict[str, dict[str, Any]] = {}
    wanted = 1
    while time.monotonic() < deadline:
        # A connection each: the front spreads connections over the replicas.
        reply = httpx.get(endpoint.model_url, timeout=timeout)
        if reply.status_code == 200:
            facts = reply.json()
            seen[facts["replica"]] = facts
            if facts["version"] == version:
                wanted = status(endpoint.ws, endpoint.name)["replicas"].get("RUNNING", 1)
                if sum(found["version"] == version for found in seen.values()) >= wanted:
                    _record(endpoint, version)
                    return
        time.sleep(_PAUSE)
    running = ", ".join(f"{key[:6]}: version {found['version']}" for key, found in seen.items()) or "none answered"
    problems = "; ".join({found["problem"] for found in seen.values() if found["problem"]})
    raise DeploymentFailed(
        f"endpoint {endpoint.name!r} does not answer with version {version} after {timeout:g} s "
        f"(replicas: {running}). {problems or 'Does the alias point at it?'}"
    )


def wait_captured(ws: Workspace, endpoint: str, rows: int, timeout: float = 30.0) -> int:
    """Wait until the endpoint's prediction table has at least `rows` rows, and record its version.

    Returns:
        The number of rows.

    Raises:
        DeploymentFailed: There are fewer after `timeout` seconds.

    Example:
        >>> wait_captured(ws, "flight-delay", 100)
        100
    """
    table = f"{PREDICTIONS}.{endpoint}"
    deadline = time.monotonic() + timeout
    while True:
        found = data.sync_table(ws, table).rows or 0 if data.exists(ws, table) else 0
        if found >= rows:
            return found
        if time.monotonic() > deadline:
            raise DeploymentFailed(
                f"{table} has {found} rows after {timeout:g} s, expected {rows}: "
                f"look at 'capture' in serve.status(ws, {endpoint!r})['model']"
            )
        time.sleep(_PAUSE)


def _record(endpoint: Endpoint, version: int) -> None:
    known = deployment(endpoint.ws, endpoint.name)
    if known.version == version:
        return
    name = endpoint.target.partition("@")[0]
    record_deployment(
        endpoint.ws,
        endpoint.name,
        model_version(endpoint.ws, f"{name}@{version}"),
        target=known.target,
        config=known.config,
        url=known.url,
    )
