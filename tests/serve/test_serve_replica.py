"""A replica without Serve: a real model, a real online store, real Delta tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_models import LIVE_ROW, damage, register_level, store_weather

from raylake import data, registry
from raylake.core import ArtifactCorrupt, NotFound, StorageError, Workspace
from raylake.serve import Capture
from raylake.serve.app import Application
from raylake.serve.replica import Replica, capture_writer
from raylake.train import open_model


def ask(replica: Replica, *rows: dict[str, Any], **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(Application(replica))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/predict", content=json.dumps({"rows": rows, **more}))

    return asyncio.run(send())


@pytest.fixture
def make(ws: Workspace, tmp_path: Path) -> Any:
    """Build replicas; they are closed at the end."""
    store_weather(ws)
    register_level(ws, tmp_path / "one", 0.25, alias="champion")
    opened: list[Replica] = []

    def build(target: str = "delay@champion", **capture: Any) -> Replica:
        opened.append(Replica(ws, "delays", target, Capture(**capture)))
        return opened[-1]

    yield build
    for replica in opened:
        replica.close()


def test_features_are_looked_up_predicted_and_captured(ws: Workspace, make: Callable[..., Replica]) -> None:
    replica = make(flush_seconds=0.05)
    found = ask(replica, LIVE_ROW, LIVE_ROW | {"origin": "XXX"}, ids=["f1", "f2"], features=True).json()
    assert found["predictions"] == pytest.approx([0.25, 0.25]) and found["version"] == 1
    assert found["features"][0] == {"distance": 1400.0, "carrier": "AA", "temp": 60.0, "wind": 10.0}
    assert found["features"][1]["temp"] is None
    replica.close()
    rows = data.table(ws, "predictions.delays").to_pylist()
    assert [row["id"] for row in rows] == ["f1", "f2"]
    assert rows[0]["temp"] == 60.0 and rows[0]["origin"] == "JFK" and rows[0]["request_id"] == found["id"]
    assert rows[0]["at"].isoformat() == "2013-07-01T12:00:00+00:00" and rows[0]["received_at"] > rows[0]["at"]


def test_a_feature_that_is_sent_wins_over_the_stored_one(make: Callable[..., Replica]) -> None:
    found = ask(make(), LIVE_ROW | {"temp": -3}, LIVE_ROW, features=True).json()
    assert [row["temp"] for row in found["features"]] == [-3.0, 60.0]


def test_keys_may_be_null_and_the_event_time_may_not(make: Callable[..., Replica]) -> None:
    replica = make()
    assert ask(replica, LIVE_ROW | {"origin": None}, features=True).json()["features"][0]["temp"] is None
    refused = ask(replica, LIVE_ROW | {"scheduled_at": None})
    assert refused.status_code == 422 and refused.json()["error"]["field"] == "scheduled_at"
    naive = ask(replica, LIVE_ROW | {"scheduled_at": "2013-07-01T12:00:00"})
    assert naive.status_code == 422 and "with its zone" in naive.json()["error"]["message"]


def test_an_alias_move_is_followed_and_a_pinned_version_stays(
    ws: Workspace, make: Callable[..., Replica], tmp_path: Path
) -> None:
    following, pinned = make(), make("delay@1")
    register_level(ws, tmp_path / "two", 0.75, alias="champion")
    assert following._watcher.look()
    assert ask(following, LIVE_ROW).json()["predictions"] == pytest.approx([0.75])
    assert following.describe()["version"] == 2 and following.describe()["problem"] is None
    assert ask(pinned, LIVE_ROW).json()["version"] == 1
    assert [thread.name for thread in pinned._threads] == ["capture"]


def test_a_damaged_version_is_not_swapped_in(ws: Workspace, make: Callable[..., Replica], tmp_path: Path) -> None:
    replica = make()
    broken = register_level(ws, tmp_path / "two", 0.75)
    damage(ws, broken.artifact)
    with pytest.raises(ArtifactCorrupt):
        open_model(ws, broken)
    registry.set_alias(ws, "delay", "champion", broken.version)
    assert not replica._watcher.look()
    assert ask(replica, LIVE_ROW).json()["version"] == 1
    assert "delay@2 cannot be loaded" in replica.describe()["problem"]


def test_health_fails_when_a_thread_died(make: Callable[..., Replica]) -> None:
    replica = make()
    replica.check_health()
    replica._watcher.stop()
    replica._threads[1].join(10)
    with pytest.raises(Exception, match="the watcher thread"):
        replica.check_health()


def test_an_unknown_target_is_refused(ws: Workspace) -> None:
    with pytest.raises(NotFound, match="'delay'"):
        Replica(ws, "delays", "delay@champion", Capture())


def test_half_the_requests_are_captured_when_asked_so(ws: Workspace, make: Callable[..., Replica]) -> None:
    replica = make(sample=0.5, flush_seconds=0.05)
    for _ in range(60):
        assert ask(replica, LIVE_ROW).status_code == 200
    replica.close()
    assert 10 <= data.table(ws, "predictions.delays").num_rows <= 50


def test_a_flush_that_committed_but_failed_is_not_written_twice(
    ws: Workspace, make: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = make(flush_seconds=3600)
    write = capture_writer(ws, "delays")
    failures = iter([True, False])

    def unlucky(rows: Any, transaction: tuple[str, int]) -> None:
        write(rows, transaction)
        if next(failures):
            raise StorageError("the connection broke after the commit")

    replica._capture.writer = unlucky
    ask(replica, LIVE_ROW, LIVE_ROW)
    assert not replica._capture.flush() and replica._capture.flush()
    assert data.table(ws, "predictions.delays").num_rows == 2
    assert replica.describe()["capture"]["failures"] == 1 and replica.describe()["capture"]["pending"] == 0
