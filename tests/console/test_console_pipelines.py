"""Pipelines over HTTP: runs, pictures, webhooks that start runs, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from console_routes import bearer, locked_client
from starlette.testclient import TestClient

from raylake import pipelines
from raylake.console import create_app
from raylake.core import Workspace
from raylake.testing.pipelines import LocalExecutor, LocalLauncher

START = datetime(2026, 1, 1, tzinfo=UTC)
PATH = "/api/raylake/pipelines"


@pipelines.step
def shout(text: str) -> str:
    print("shouting", text)
    return text.upper()


@pipelines.pipeline
def loud(event: dict[str, Any] = {}):  # noqa: B006 - a pipeline's default is never changed
    return shout(event["payload"]["text"])


@pipelines.pipeline
def quiet(text: str = "a<b"):
    return shout(text)


@pytest.fixture
def client(ws: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(ws)) as made:
        yield made


def test_runs_are_listed_shown_and_drawn(ws: Workspace, client: TestClient) -> None:
    ids = [pipelines.submit(ws, quiet) for _ in range(3)]
    pipelines.drive(ws, ids[0], executor=LocalExecutor())
    listed = client.get(f"{PATH}/runs", params={"limit": 2}).json()
    assert [run["id"] for run in listed] == [ids[2], ids[1]]
    (older,) = client.get(f"{PATH}/runs", params={"before": listed[-1]["id"]}).json()
    assert (older["id"], older["state"]) == (ids[0], "finished")
    assert client.get(f"{PATH}/runs", params={"state": "queued", "pipeline": "quiet"}).json() == listed
    (step,) = client.get(f"{PATH}/runs/{ids[0][:8]}").json()["steps"]
    assert (step["key"], step["state"]) == ("shout", "finished")
    assert "shouting a<b" in client.get(f"{PATH}/runs/{ids[0]}/logs", params={"step": "shout"}).text
    for form in ("svg", "gantt"):
        drawn = client.get(f"{PATH}/runs/{ids[0]}/picture", params={"form": form})
        assert drawn.text.startswith("<svg ") and drawn.headers["content-type"] == "image/svg+xml"
        assert "default-src 'none'" in drawn.headers["content-security-policy"]
    assert client.get(f"{PATH}/runs/{'0' * 32}").status_code == 404
    assert client.post(f"{PATH}/runs/{ids[1]}/cancel").json() == {"state": "cancelled"}
    assert client.post(f"{PATH}/runs/{ids[2]}/pause").json() == {"state": "paused"}
    assert client.post(f"{PATH}/runs/{ids[1]}/cancel").status_code == 409


def test_a_webhook_starts_the_pipeline_that_waits_for_it(ws: Workspace, client: TestClient) -> None:
    pipelines.schedule(ws, "hook", loud, pipelines.OnEvent("webhook", "webhook:news"), now=START)
    assert [each["name"] for each in client.get(f"{PATH}/schedules").json()] == ["hook"]
    answer = client.post(f"{PATH}/events/news", json={"text": "hello"})
    assert answer.status_code == 202, answer.text
    assert client.post(f"{PATH}/events/other").status_code == 202
    (run,) = pipelines.tick(ws, LocalLauncher(), START + timedelta(seconds=1)).fired
    assert pipelines.result(ws, run) == "HELLO"
    assert pipelines.tick(ws, LocalLauncher(), START + timedelta(seconds=2)).fired == ()
    assert client.post(f"{PATH}/events/no such name").status_code == 400


def test_who_only_reads_starts_and_stops_nothing(ws: Workspace) -> None:
    run = pipelines.submit(ws, quiet)
    reader, writer = bearer(ws, "viewer"), bearer(ws, "editor")
    with locked_client(ws) as client:
        assert client.post(f"{PATH}/events/news").status_code == 401
        assert client.get(f"{PATH}/runs", headers=reader).status_code == 200
        for path in ("events/news", f"runs/{run}/cancel", f"runs/{run}/pause"):
            assert client.post(f"{PATH}/{path}", headers=reader).status_code == 403
        assert client.post(f"{PATH}/events/news", headers=writer).status_code == 202
        assert client.post(f"{PATH}/runs/{run}/cancel", headers=writer).json() == {"state": "cancelled"}
