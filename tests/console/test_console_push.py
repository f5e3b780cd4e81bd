"""Events that are sent to the console: behind its door, durable when answered, in the table."""

from __future__ import annotations

import time

from console_routes import bearer, locked_client
from starlette.testclient import TestClient

from raylake import data, registry
from raylake.console import Policy, create_app
from raylake.core import Workspace
from raylake.registry import access

PATH = "/api/raylake/events/clicks"


def configured(ws: Workspace) -> data.Source:
    source = data.push_source(
        ws, data.Source("clicks", data.PushLog(""), schema={"id": "string", "n": "int64"}, key=["id"], every="100ms")
    )
    data.save_source(ws, source)
    return source


def test_events_come_into_the_table(ws: Workspace) -> None:
    configured(ws)
    with TestClient(create_app(ws, policy=Policy(authentication=False)), base_url="http://localhost") as client:
        both = [{"id": "a", "n": 1}, {"id": "b", "n": 2}]
        assert client.post(PATH, json=both).json() == {"accepted": 2, "duplicates": 0}
        assert client.post(PATH, json=both[0]).json() == {"accepted": 0, "duplicates": 1}
        answer = client.post(PATH, json={"id": "c", "n": "many"})
        assert answer.status_code == 422 and answer.json()["field"] == "n"
        lines = b'{"id":"d","n":4}\n{"id":"e","n":5}\n'
        assert (
            client.post(PATH, content=lines, headers={"content-type": "application/x-ndjson"}).json()["accepted"] == 2
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and not (data.exists(ws, "clicks") and data.table(ws, "clicks").num_rows == 4):
            time.sleep(0.05)
    assert sorted(data.table(ws, "clicks")["id"].to_pylist()) == ["a", "b", "d", "e"]


def test_who_may_send(ws: Workspace) -> None:
    configured(ws)
    client = locked_client(ws)
    assert client.post(PATH, json={"id": "a", "n": 1}).status_code == 401
    assert client.post(PATH, json={"id": "a", "n": 1}, headers=bearer(ws, "viewer")).status_code == 403
    with client:
        for number in range(3):
            assert client.post(PATH, json={"id": str(number), "n": 1}, headers=bearer(ws, "editor")).status_code == 200
    counted = [entry for entry in access.audit(ws) if entry.action == f"POST {PATH}"]
    assert sum(entry.count for entry in counted) == 3


def test_other_sources_take_no_events(ws: Workspace) -> None:
    data.save_source(ws, data.Source("files", data.Csv("*.csv")))
    with TestClient(create_app(ws, policy=Policy(authentication=False)), base_url="http://localhost") as client:
        assert "takes no events" in client.post("/api/raylake/events/files", json={}).json()["error"]
        for name in ("none", "..%2Fx", "A b"):
            assert client.post(f"/api/raylake/events/{name}", json={}).status_code in (400, 404)
    assert registry.events(ws, kind="table-version") == []
