"""Endpoints on a real cluster: their life, hot swaps and killed replicas under load, failures to deploy."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_models import LIVE_ROW, damage, register_level, store_weather

from raylake import data, registry, serve
from raylake.core import ArtifactCorrupt, ComputeUnavailable, DeploymentFailed, Node, NotFound, Workspace

LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5, 6: 0.6}


@pytest.fixture
def lake(ray_ws: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with one model and stored features; Serve is stopped afterwards."""
    store_weather(ray_ws)
    register_level(ray_ws, tmp_path / "v1", LEVELS[1], alias="champion")
    yield ray_ws
    serve.shutdown(ray_ws)


@dataclass
class Load:
    """What the clients saw."""

    answers: list[tuple[int, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def under_load(endpoint: serve.Endpoint, connections: int = 8) -> Iterator[Load]:
    """Post single rows on `connections` connections, one after the other, until the block ends."""
    load, stop = Load(), threading.Event()

    def client(name: int) -> None:
        with httpx.Client(timeout=30) as http:
            count = 0
            while not stop.is_set():
                identity, count = f"{name}-{count}", count + 1
                try:
                    reply = http.post(endpoint.predict_url, json={"rows": [LIVE_ROW], "ids": [identity]})
                except httpx.HTTPError as error:
                    load.failures.append(f"{type(error).__name__}: {error}")
                    continue
                if reply.status_code == 200:
                    found = reply.json()
                    load.answers.append((found["version"], found["predictions"][0], identity))
                else:
                    load.failures.append(f"{reply.status_code} {reply.text}")

    threads = [threading.Thread(target=client, args=(name,)) for name in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def captured_ids(ws: Workspace, name: str = "delay") -> list[str]:
    return sorted(data.table(ws, f"predictions.{name}", columns=["id"])["id"].to_pylist())


@pytest.mark.slow
def test_the_life_of_an_endpoint(lake: Workspace) -> None:
    endpoint = serve.deploy(lake, "delay@champion", autoscale=serve.Autoscale(1, 1))
    assert endpoint.url.startswith("http://127.0.0.1:") and serve.endpoints(lake) == [endpoint]
    assert serve.endpoint(lake, "delay") == endpoint

    page = httpx.get(endpoint.docs_url).text
    import html

    command = html.unescape(page.split("<pre>")[1].split("</pre>")[0])
    done = subprocess.run(shlex.split(command), capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["predictions"] == pytest.approx([0.1])

    document = httpx.get(f"{endpoint.model_url}/openapi.json").json()
    assert document["servers"] == [{"url": endpoint.url}]
    assert httpx.get(f"{endpoint.model_url}/health").json()["status"] == "healthy"
    refused = httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW | {"distance": "far"}]})
    assert refused.status_code == 422 and refused.json()["error"]["field"] == "distance"
    assert httpx.post(f"{endpoint.url}/models/unknown/predict", json={}).status_code == 404

    ids = [f"flight-{number}" for number in range(7)]
    assert httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW] * 7, "ids": ids}).status_code == 200
    # The docs page's curl is a request like any other: one row more.
    assert serve.wait_captured(lake, "delay", 8) == 8
    assert set(ids) < set(captured_ids(lake))
    assert Node("endpoint", "delay") in {edge.target for edge in registry.downstream(lake, "model:delay@1")}
    facts = serve.status(lake, "delay")
    assert facts["replicas"] == {"RUNNING": 1} and facts["model"]["version"] == 1

    again = serve.deploy(lake, "delay@1", autoscale=serve.Autoscale(1, 1))
    assert again.predict_url == endpoint.predict_url
    assert httpx.get(again.model_url).json()["target"] == "delay@1"

    serve.undeploy(lake, "delay")
    assert serve.endpoints(lake) == [] and serve.status(lake, "delay")["status"] == "ended"
    assert httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW]}).status_code == 404
    serve.shutdown(lake)
    with pytest.raises(httpx.ConnectError):
        httpx.get(endpoint.url)
    serve.shutdown(lake)


@pytest.mark.slow
def test_hot_swaps_under_load_drop_nothing_and_every_answer_is_its_versions(lake: Workspace, tmp_path: Path) -> None:
    endpoint = serve.deploy(lake, "delay@champion", autoscale=serve.Autoscale(2, 2))
    for version in range(2, 7):
        register_level(lake, tmp_path / f"v{version}", LEVELS[version])
    with under_load(endpoint) as load:
        for version in range(2, 7):
            registry.set_alias(lake, "delay", "champion", version, expected=version - 1)
            serve.wait_for_version(endpoint, version)
    assert load.failures == []
    assert {version for version, _, _ in load.answers} == set(LEVELS)
    assert all(score == pytest.approx(LEVELS[version]) for version, score, _ in load.answers)
    assert registry.deployment(lake, "delay").version == 6
    serve.undeploy(lake, "delay")
    assert captured_ids(lake) == sorted(identity for _, _, identity in load.answers)
    table = data.table(lake, "predictions.delay", columns=["version", "prediction"]).to_pylist()
    assert all(row["prediction"] == pytest.approx(LEVELS[row["version"]]) for row in table)


@pytest.mark.slow
def test_with_a_killed_replica_requests_go_on_and_only_its_unflushed_rows_are_lost(lake: Workspace) -> None:
    endpoint = serve.deploy(
        lake, "delay@champion", autoscale=serve.Autoscale(2, 2), capture=serve.Capture(flush_seconds=0.2)
    )
    with under_load(endpoint) as load:
        time.sleep(1.5)
        before = len(load.answers)
        settled = set(captured_ids(lake))
        os.kill(replica_pids("delay")[0], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len(load.answers) < before + 200 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(load.answers) >= before + 200
    # Requests in flight are sent to the other replica; only an answer that was cut off after its head cannot be.
    assert all("without sending complete message body" in failure for failure in load.failures)
    assert len(load.failures) <= 4
    serve.undeploy(lake, "delay")
    written, answered = captured_ids(lake), {identity for _, _, identity in load.answers}
    assert len(written) == len(set(written)), "a row was captured twice"
    assert set(written) <= answered and settled <= set(written)


def replica_pids(name: str) -> list[int]:
    """Process ids of the running replicas of an endpoint."""
    from ray.serve.context import _get_global_client

    details: dict[str, Any] = _get_global_client().get_serve_details()
    replicas = details["applications"][name]["deployments"]["replica"]["replicas"]
    return [replica["pid"] for replica in replicas if replica["state"] == "RUNNING"]


@pytest.mark.slow
def test_deploying_what_cannot_answer_says_why_and_leaves_nothing(lake: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'challenger'"):
        serve.deploy(lake, "delay@challenger")
    broken = register_level(lake, tmp_path / "v2", 0.2)
    damage(lake, broken.artifact)
    with pytest.raises(ArtifactCorrupt):
        serve.deploy(lake, "delay@2")
    with pytest.raises(ComputeUnavailable, match="1000 CPUs"):
        serve.deploy(lake, "delay@1", cpus=1000)
    nowhere = replace(lake, online_url="lmdb:/proc/nowhere")
    with pytest.raises(DeploymentFailed, match="nowhere"):
        serve.deploy(nowhere, "delay@1")
    assert registry.deployments(lake) == [] and application_names() == []


def application_names() -> list[str]:
    import ray.serve

    return list(ray.serve.status().applications)


@pytest.mark.slow
def test_two_endpoints_share_a_port_and_nothing_else(lake: Workspace, tmp_path: Path) -> None:
    register_level(lake, tmp_path / "v2", 0.2)
    one = serve.deploy(lake, "delay@1", name="one", autoscale=serve.Autoscale(1, 1), capture=serve.Capture(sample=0))
    two = serve.deploy(lake, "delay@2", name="two", autoscale=serve.Autoscale(1, 1))
    answers: list[dict[str, Any]] = [
        httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW]}).json() for endpoint in (one, two)
    ]
    assert one.url == two.url and [answer["version"] for answer in answers] == [1, 2]
    serve.undeploy(lake, "one")
    assert httpx.post(two.predict_url, json={"rows": [LIVE_ROW]}).status_code == 200
    serve.undeploy(lake, "two")
    assert not data.exists(lake, "predictions.one") and len(captured_ids(lake, "two")) == 2


@pytest.mark.slow
def test_an_idle_endpoint_stops_and_the_next_request_starts_it(lake: Workspace) -> None:
    endpoint = serve.deploy(lake, "delay@1", autoscale=serve.Autoscale(0, 1, downscale_delay=0.5))
    deadline = time.monotonic() + 90
    while serve.status(lake, "delay")["replicas"] and time.monotonic() < deadline:
        time.sleep(0.5)
    assert serve.status(lake, "delay")["replicas"] == {}
    assert httpx.post(endpoint.predict_url, json={"rows": [LIVE_ROW]}, timeout=90).status_code == 200
    assert serve.wait_captured(lake, "delay", 1) == 1


@pytest.mark.slow
def test_only_loopback_is_bound(lake: Workspace) -> None:
    endpoint = serve.deploy(lake, "delay@1", autoscale=serve.Autoscale(1, 1))
    port = int(endpoint.url.rpartition(":")[2])
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    front = [line.split()[3] for line in listening if "haproxy" in line or line.split()[3].endswith(f":{port}")]
    assert front and all(address.startswith("127.0.0.1:") for address in front), front
