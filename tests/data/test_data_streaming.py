"""Streams: exactly once whatever is killed; late events go where declared; sources change while they run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import redis
from confluent_kafka import Producer
from tests.stream_servers import NatsServer, RedisServer

from raylake import data, pipelines, registry
from raylake.core import NotFound, SourceError, Workspace, WorkspaceBusy
from raylake.data.ingest import last_facts
from raylake.data.streaming import SourceLoop, supervise
from raylake.data.streaming.supervisor import stop_actors

SCHEMA = {"id": "int64", "at": "timestamp"}


def wait_for(truth: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def rows(ws: Workspace, table: str = "clicks") -> list[int]:
    return sorted(data.table(ws, table)["id"].to_pylist()) if data.exists(ws, table) else []


def send(server: RedisServer, start: int, stop: int, key: str = "clicks", at: str = "2026-01-01T00:00:00Z") -> None:
    with redis.Redis.from_url(server.url) as client:
        for number in range(start, stop):
            client.xadd(key, {"id": str(number), "at": at})


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    running = RedisServer(tmp_path / "redis")
    running.start()
    yield running
    running.kill()


def source(server: RedisServer, **more: Any) -> data.Source:
    options = {"schema": SCHEMA, "continuous": True, "every": "100ms", **more}
    return data.Source("clicks", data.RedisStream(server.url, "clicks", max_events=50), **options)


@pytest.fixture
def supervised(ray_ws: Workspace) -> Iterator[Workspace]:
    stop = threading.Event()
    thread = threading.Thread(target=supervise, args=(ray_ws,), kwargs={"stop": stop})
    thread.start()
    yield ray_ws
    stop.set()
    thread.join()
    stop_actors(ray_ws)


def test_redis_killed_while_it_is_read_loses_and_doubles_nothing(ws: Workspace, own_redis: RedisServer) -> None:
    """The server dies between plan and read, and comes back with its file."""
    stream = source(own_redis)
    send(own_redis, 0, 60)
    assert data.run_once(ws, stream).lag == 10
    splits, _ = stream.connector.plan(last_facts(ws, stream)["cursor"])
    own_redis.kill()
    with pytest.raises(SourceError, match="cannot be read"):
        list(stream.connector.read(splits[0]))
    with pytest.raises(SourceError, match="cannot be read"):
        data.run_once(ws, stream)
    own_redis.start()
    send(own_redis, 60, 70)
    while data.run_once(ws, stream).lag:
        continue
    assert rows(ws) == list(range(70))


def test_nats_killed_and_started_again_goes_on(ws: Workspace, tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.start()

    async def publish(start: int, stop: int) -> None:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="CLICKS", subjects=["clicks"])
        for number in range(start, stop):
            await stream.publish("clicks", json.dumps({"id": number}).encode())
        await client.close()

    feed = data.Source("clicks", data.NatsStream(server.url, "CLICKS", max_events=20), schema={"id": "int64"})
    asyncio.run(publish(0, 30))
    assert data.run_once(ws, feed).lag == 10
    server.kill()
    with pytest.raises(SourceError, match="cannot be read"):
        data.run_once(ws, feed)
    server.start()
    asyncio.run(publish(30, 40))
    while data.run_once(ws, feed).lag:
        continue
    server.kill()
    assert rows(ws) == list(range(40))


def test_trimmed_entries_are_noticed(ws: Workspace, redis_server: RedisServer) -> None:
    stream = data.Source("clicks", data.RedisStream(redis_server.url, "trim", max_events=10), schema=SCHEMA)
    send(redis_server, 0, 10, "trim")
    data.run_once(ws, stream)
    send(redis_server, 10, 18, "trim")
    with redis.Redis.from_url(redis_server.url) as client:
        client.xtrim("trim", maxlen=3, approximate=False)
    with pytest.raises(SourceError, match="removed before they were read"):
        data.run_once(ws, stream)
    assert rows(ws) == list(range(10))
    skipping = data.RedisStream(redis_server.url, "trim", max_events=10, lost="skip")
    data.run_once(ws, data.Source("clicks", skipping, schema=SCHEMA))
    assert rows(ws) == [*range(10), 15, 16, 17]


def test_two_readers_of_one_source_read_every_event_once(ws: Workspace, redis_server: RedisServer) -> None:
    """As after a rebalance that both sides missed: each commits what the other has not, and nothing twice."""
    stream = data.Source("clicks", data.RedisStream(redis_server.url, "both", max_events=20), schema=SCHEMA)
    send(redis_server, 0, 200, "both")

    def drain() -> None:
        while data.run_once(ws, stream).lag:
            continue

    readers = [threading.Thread(target=drain) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert rows(ws) == list(range(200))


def test_every_partition_of_a_topic_is_read_to_its_offset(ws: Workspace) -> None:
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    partitions = sorted(producer.list_topics("clicks", timeout=10).topics["clicks"].partitions)
    assert len(partitions) > 1
    connector = data.Kafka(f"{broker.host}:{broker.port}", "clicks", meta=["partition", "offset"], max_events=9)
    feed = data.Source("clicks", connector)
    for start in (0, 100):
        for number in range(start, start + 100):
            value = json.dumps({"id": number}).encode()
            producer.produce("clicks", value, partition=partitions[number % len(partitions)])
        producer.flush(10)
        while data.run_once(ws, feed).lag:
            continue
    assert rows(ws) == list(range(200))
    table = data.table(ws, "clicks")
    counts = {str(number): table["_partition"].to_pylist().count(number) for number in partitions}
    assert last_facts(ws, feed)["cursor"]["offsets"] == counts


def test_a_stream_made_anew_is_noticed(ws: Workspace, redis_server: RedisServer) -> None:
    stream = data.Source("clicks", data.RedisStream(redis_server.url, "anew"), schema=SCHEMA)
    send(redis_server, 0, 10, "anew")
    data.run_once(ws, stream)
    with redis.Redis.from_url(redis_server.url) as client:
        client.delete("anew")
    send(redis_server, 0, 3, "anew")
    with pytest.raises(SourceError, match="made anew"):
        data.run_once(ws, stream)


@pytest.mark.parametrize(("late", "kept", "quarantined"), [("quarantine", 4, 1), ("drop", 4, 0), ("keep", 5, 0)])
def test_late_events_go_where_they_were_declared(
    ws: Workspace, own_redis: RedisServer, late: Any, kept: int, quarantined: int
) -> None:
    stream = source(own_redis, event_time="at", lateness="10m", late=late)
    send(own_redis, 0, 2, at="2026-01-01T12:00:00Z")
    step = data.run_once(ws, stream)
    assert step.latency is not None
    send(own_redis, 2, 3, at="2026-01-01T11:51:00Z")
    send(own_redis, 3, 4, at="2026-01-01T11:49:00Z")
    send(own_redis, 4, 5, at="2026-01-01T12:30:00Z")
    version = data.run_once(ws, stream).version
    assert version is not None and version.rows == kept
    if quarantined:
        assert data.table(ws, "quarantine.clicks")["reason"].to_pylist() == ["late(at)"]


def test_bad_events_go_to_quarantine_and_the_stream_goes_on(ws: Workspace, own_redis: RedisServer) -> None:
    stream = source(own_redis)
    with redis.Redis.from_url(own_redis.url) as client:
        client.xadd("clicks", {"id": "1"})
        client.xadd("clicks", {"id": "x"})
        client.xadd("clicks", {"id": "2", "surprise": "y"})
        client.xadd("clicks", {"id": "3"})
    data.run_once(ws, stream)
    assert rows(ws) == [1, 3]
    reasons = data.table(ws, "quarantine.clicks")["reason"].to_pylist()
    assert sorted(reasons) == ["id: 'x' is not a valid int64", "surprise: unknown field"]


def test_a_failing_source_is_told_alerted_once_and_recovers(ws: Workspace, tmp_path: Path) -> None:
    data.save_source(ws, data.Source("trips", data.Csv(f"{tmp_path}/*.csv"), every="1s"))
    loop = SourceLoop(ws, "trips")
    waits = [loop.turn() for _ in range(3)]
    assert waits == [1.0, 2.0, 4.0]
    assert loop.status()["state"] == "failing" and "no file matches" in loop.status()["error"]
    assert "no file matches" in registry.source_record(ws, "trips").error
    assert len(registry.alerts(ws)) == 1
    (tmp_path / "a.csv").write_text("id\n1\n")
    loop.turn()
    assert (loop.status()["state"], registry.source_record(ws, "trips").error) == ("running", "")
    data.remove_source(ws, "trips")
    assert loop.turn() is None


def test_one_process_supervises(ws: Workspace) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=supervise, args=(ws,), kwargs={"stop": stop})
    thread.start()
    wait_for(lambda: (Path(ws.root) / "sources.lock").exists())
    time.sleep(0.3)
    with pytest.raises(WorkspaceBusy):
        supervise(ws, stop=stop)
    stop.set()
    thread.join()


@pytest.mark.slow
def test_scheduled_sources_are_added_changed_paused_and_removed_while_it_runs(
    ray_ws: Workspace, tmp_path: Path
) -> None:
    """Two sources at once, one of which fails all the time: neither waits for the other."""
    ws = ray_ws
    (tmp_path / "a1.csv").write_text("id\n1\n")
    stop = threading.Event()
    thread = threading.Thread(target=supervise, args=(ws,), kwargs={"stop": stop})
    thread.start()
    try:
        data.save_source(ws, data.Source("broken", data.Csv(f"{tmp_path}/none.csv"), every="100ms"))
        data.save_source(ws, data.Source("clicks", data.Csv(f"{tmp_path}/a*.csv"), every="100ms"))
        wait_for(lambda: rows(ws) == [1])
        data.pause_source(ws, "clicks")
        time.sleep(1.5)
        (tmp_path / "a2.csv").write_text("id\n2\n")
        time.sleep(1.5)
        assert rows(ws) == [1]
        data.resume_source(ws, "clicks")
        wait_for(lambda: rows(ws) == [1, 2])
        (tmp_path / "b1.csv").write_text("id\n3\n")
        data.save_source(ws, data.Source("clicks", data.Csv([f"{tmp_path}/a*.csv", f"{tmp_path}/b*.csv"]), every="1s"))
        wait_for(lambda: rows(ws) == [1, 2, 3])
        data.remove_source(ws, "clicks")
        time.sleep(1.5)
        (tmp_path / "a4.csv").write_text("id\n4\n")
        time.sleep(1.5)
        assert rows(ws) == [1, 2, 3]
        assert registry.source_record(ws, "broken").error.startswith("SourceError")
    finally:
        stop.set()
        thread.join()
        pipelines.stop_scheduler(ws)
    kinds = [event.payload["rows"] for event in registry.events(ws, kind="table-version")]
    assert kinds == [1, 2, 3]
    listed = pipelines.runs(ws, pipeline="source-clicks")
    assert {run.state for run in listed} <= {"finished", "skipped", "cancelled"} and len(listed) > 2
    assert {run.state for run in pipelines.runs(ws, pipeline="source-broken")} & {"failed", "running"}
    assert [found.name for found in pipelines.schedules(ws)] == ["source-broken"]


@pytest.mark.slow
def test_an_actor_killed_again_and_again_reads_every_event_once(supervised: Workspace, own_redis: RedisServer) -> None:
    ws = supervised
    send(own_redis, 0, 100)
    data.save_source(ws, source(own_redis))

    def pid() -> int:
        try:
            return int(data.source_status(ws, "clicks")["pid"])
        except NotFound:
            return 0

    wait_for(lambda: len(rows(ws)) > 0)
    for turn in range(2):
        old = pid()
        send(own_redis, 100 + turn * 100, 200 + turn * 100)
        if old:
            os.kill(old, signal.SIGKILL)
        wait_for(lambda before=old: pid() not in (0, before))  # type: ignore[misc]
    wait_for(lambda: len(rows(ws)) >= 300)
    time.sleep(0.5)
    assert rows(ws) == list(range(300))
    status = data.source_status(ws, "clicks")
    assert (status["lag"], status["state"]) == (0, "running")
    data.pause_source(ws, "clicks")
    wait_for(lambda: data.source_status(ws, "clicks")["state"] == "paused")
    data.remove_source(ws, "clicks")


DRIVER = """
import sys
from raylake import data
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1])
source = data.configured_source(ws, "clicks")
while True:
    data.run_once(ws, source)
"""


@pytest.mark.slow
def test_a_driver_killed_at_any_point_reads_every_event_once(ws: Workspace, own_redis: RedisServer) -> None:
    data.save_source(ws, source(own_redis))
    for turn in range(3):
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, ws.root])
        send(own_redis, turn * 100, turn * 100 + 100)
        seen = len(rows(ws))
        wait_for(lambda before=seen: len(rows(ws)) > before)  # type: ignore[misc]
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    while data.run_once(ws, source(own_redis)).lag:
        continue
    assert rows(ws) == list(range(300))
