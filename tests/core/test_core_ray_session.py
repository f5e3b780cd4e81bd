"""The Ray session: joining, starting, the cluster that outlives its starter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raylake.core import ConfigError, Workspace, ensure_ray, find_cluster, start_cluster, stop_cluster

JOIN = """
import json, sys
from raylake.core import Workspace, ensure_ray
session = ensure_ray(Workspace.open(sys.argv[1]))
import ray
print(json.dumps([session.address, session.started, ray.get(ray.remote(lambda: 42).remote())]))
"""


def test_a_running_session_is_joined_again(ray_ws: Workspace) -> None:
    session = ensure_ray(ray_ws)
    assert not session.started
    assert session.cpus >= 6
    assert session.dashboard_url.startswith("http://127.0.0.1:")


def test_nobody_answers_at_the_address(tmp_path: Path) -> None:
    code = "import sys; from raylake.core import *; ensure_ray(Workspace.open(sys.argv[1], ray_address='127.0.0.1:1'))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "ConfigError" in done.stderr
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.slow
def test_a_cluster_outlives_its_starter_and_others_join_it(tmp_path: Path) -> None:
    ws = Workspace.open(tmp_path)
    cluster = start_cluster(ws)
    try:
        assert start_cluster(ws) == cluster
        done = subprocess.run([sys.executable, "-c", JOIN, ws.root], capture_output=True, text=True, check=True)
        address, started, answer = json.loads(done.stdout.splitlines()[-1])
        assert (address, started, answer) == (cluster.address, False, 42)
    finally:
        assert stop_cluster(ws)
    assert find_cluster(ws) is None
    assert not stop_cluster(ws)


def test_a_stale_state_file_is_no_cluster(tmp_path: Path) -> None:
    ws = Workspace.open(tmp_path)
    (tmp_path / "cluster.json").write_text(
        json.dumps({"pid": os.getpid(), "started": 1, "address": "x:1", "dashboard_url": ""}), encoding="utf-8"
    )
    assert find_cluster(ws) is None
    assert not stop_cluster(ws)


def test_a_remote_workspace_has_no_local_cluster() -> None:
    ws = Workspace("s3://lake", "sqlite://", "redis://cache")
    with pytest.raises(ConfigError, match="remote"):
        start_cluster(ws)


def test_a_cluster_that_was_killed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    from raylake.core.ray_session import _answers, _remembered

    with socket.create_server(("127.0.0.1", 0)) as alive:
        monkeypatch.setattr(services, "find_gcs_addresses", set)
        address = f"127.0.0.1:{alive.getsockname()[1]}"
        monkeypatch.setattr(services, "find_bootstrap_address", lambda _: address)
        assert _answers(_remembered())
    assert not _answers(_remembered())
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)
    assert _remembered() == ""
