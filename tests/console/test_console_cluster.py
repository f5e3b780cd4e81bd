"""The console as a Ray Serve application on the session's cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from test_console_server import CLIENT, mlflow_client

from raylake import console, serve
from raylake.core import ComputeUnavailable, ConfigError, Workspace
from raylake.registry import access


@pytest.fixture
def lake(ray_ws: Workspace) -> Iterator[Workspace]:
    """A workspace on the cluster; Serve is stopped afterwards."""
    yield ray_ws
    serve.shutdown(ray_ws)


@pytest.mark.slow
def test_the_console_on_a_cluster(lake: Workspace, tmp_path: Path) -> None:
    other = Workspace.open(tmp_path / "other", registry_url="", online_url="")
    url = console.deploy({"main": lake, "other": other})
    assert url.startswith("http://127.0.0.1:") and url.endswith("/console")
    assert httpx.get(f"{url}/api/raylake/me").status_code == 401
    secret = access.create_token(other, "ann", role="admin").secret
    bearer = {"authorization": f"Bearer {secret}"}
    assert httpx.get(f"{url}/w/other/api/raylake/me", headers=bearer).json()["user"] == "ann"
    assert httpx.get(f"{url}/api/raylake/me", headers={**bearer, "x-mlflow-workspace": "other"}).status_code == 200
    assert httpx.get(f"{url}/api/raylake/me", headers=bearer).status_code == 401
    assert httpx.get(f"{url}/w/other/api/raylake/me", headers={**bearer, "host": "evil.example"}).status_code == 400
    found = mlflow_client(CLIENT, MLFLOW_TRACKING_URI=f"{url}/w/other", MLFLOW_TRACKING_TOKEN=secret)
    assert found["workspaces"] == ["other"]
    made = httpx.post(f"{url}/w/other/api/raylake/tokens", headers=bearer, json={"user": "bob"})
    assert made.status_code == 201 and {token.user for token in access.tokens(other)} == {"ann", "bob"}
    assert access.audit(other)[0].user == "ann"
    assert console.undeploy(lake) is True and console.undeploy(lake) is False


@pytest.mark.slow
def test_what_cannot_be_deployed(ray_ws: Workspace) -> None:
    for route in ("console", "/console/", ""):
        with pytest.raises(ConfigError, match="route"):
            console.deploy(ray_ws, route=route)
    with pytest.raises(ComputeUnavailable, match="lower cpus"):
        console.deploy(ray_ws, cpus=10_000)
