"""Push: durable when answered, in the table exactly once; processes killed for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.stream_servers import free_port

from raylake import data, registry
from raylake.core import ConfigError, InvalidRequest, Overloaded, SourceError, StorageError, Workspace, WorkspaceBusy
from raylake.data.push import EventLog
from raylake.data.push.log import records, segment_files
from raylake.testing.connectors import Feed, Row, StreamContract

SCHEMA = {"id": "string", "n": "int64", "at": "timestamp"}


def clicks(ws: Workspace, **more: Any) -> data.Source:
    options = {"schema": SCHEMA, "key": ["id"], "every": "200ms", **more}
    return data.push_source(ws, data.Source("clicks", data.PushLog(""), **options))


def events(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"e{number}", "n": number, "at": "2026-01-01T00:00:00Z"} for number in range(start, start + count)]


class PushFeed:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = EventLog(folder, segment_bytes=600)

    def connector(self) -> data.Connector:
        return data.PushLog(str(self.folder), max_events=7)

    def missing(self) -> data.Connector:
        return data.PushLog(str(self.folder / "no"))

    def add(self, rows: list[Row]) -> None:
        self.log.append([json.dumps([None, row]).encode() for row in rows]).result()


class TestPushLog(StreamContract):
    @pytest.fixture
    def feed(self, tmp_path: Path) -> Iterator[Feed]:
        feed = PushFeed(tmp_path / "log")
        yield feed
        feed.log.close()


def read_back(folder: Path) -> list[bytes]:
    return [payload for path in segment_files(folder) for _, payload in records(path)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=60), min_size=1, max_size=4), min_size=1, max_size=6), st.integers(1, 40))
def test_whatever_the_crash_left_the_acknowledged_events_are_there(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]], cut: int
) -> None:
    """The last bytes of the newest segment are torn off or garbled: only a tail of events goes, nothing appears."""
    folder = tmp_path_factory.mktemp("log")
    with EventLog(folder, segment_bytes=150) as log:
        for batch in batches:
            log.append(batch).result()
    whole = [payload for batch in batches for payload in batch]
    assert read_back(folder) == whole
    last = segment_files(folder)[-1]
    os.truncate(last, max(0, last.stat().st_size - cut))
    with EventLog(folder) as log:
        left = read_back(folder)
        assert left == whole[: len(left)]
        log.append([b"after"]).result()
    assert read_back(folder) == [*left, b"after"]


def test_one_process_writes_a_log(tmp_path: Path) -> None:
    with EventLog(tmp_path / "log"), pytest.raises(WorkspaceBusy, match="another process"):
        EventLog(tmp_path / "log")
    EventLog(tmp_path / "log").close()


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = EventLog(tmp_path / "log")
    try:
        log.append([b"kept"]).result()
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StorageError, match="were not accepted"):
            log.append([b"x" * 10_000]).result()
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        log.append([b"later"]).result()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
        log.close()
    assert read_back(tmp_path / "log") == [b"kept", b"later"]


def test_a_damaged_segment_is_named_not_skipped(ws: Workspace) -> None:
    source = clicks(ws)
    inbox = data.Inbox(source)
    inbox.accept(events(20)).result()
    splits, _ = source.connector.plan(None)
    inbox.close()
    (path,) = segment_files(Path(source.connector.folder))  # type: ignore[attr-defined]
    body = bytearray(path.read_bytes())
    body[200] ^= 0xFF
    path.write_bytes(body)
    with pytest.raises(SourceError, match="damaged"):
        list(source.connector.read(splits[0]))


@pytest.mark.parametrize(
    ("event", "field", "words"),
    [
        ({"id": "a", "n": "7"}, "n", "expected int64"),
        ({"id": "a", "n": 2**63}, "n", "expected int64"),
        ({"id": "a", "n": True}, "n", "expected int64"),
        ({"id": "a", "at": "yesterday"}, "at", "expected timestamp"),
        ({"id": 5}, "id", "expected string"),
        ({"n": 1}, "id", "is missing"),
        ({"id": None}, "id", "is missing"),
        ({"id": "a", "what": 1}, "what", "unknown field"),
        (["a"], "", "expected a JSON object"),
    ],
)
def test_a_bad_event_is_refused_with_the_field_named(ws: Workspace, event: Any, field: str, words: str) -> None:
    inbox = data.Inbox(clicks(ws))
    with pytest.raises(InvalidRequest, match=words) as caught:
        inbox.accept([*events(2), event])
    inbox.close()
    assert (caught.value.field, caught.value.row) == (field, 2)
    assert read_back(Path(clicks(ws).connector.folder)) == []  # type: ignore[attr-defined]


def test_an_id_is_accepted_once_also_after_a_restart(ws: Workspace) -> None:
    source = clicks(ws)
    for _ in range(2):
        inbox = data.Inbox(source)
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(inbox.accept, events(10)) for _ in range(20)]
            answers = [one.result().result() for one in sent]
        inbox.close()
    assert sum(one.accepted for one in answers) == 0
    assert data.run_once(ws, source).rows == 10
    assert data.table(ws, "clicks").num_rows == 10


def test_too_much_waiting_is_refused(ws: Workspace) -> None:
    inbox = data.Inbox(clicks(ws), backlog_bytes=100)
    inbox.backlog_bytes = 101
    with pytest.raises(Overloaded, match="wait to be ingested"):
        inbox.accept(events(1))
    inbox.close()


def test_a_push_source_needs_a_push_log(ws: Workspace) -> None:
    with pytest.raises(ConfigError, match="not events that are sent"):
        data.Inbox(data.Source("x", data.Csv("*.csv")))


def test_over_http(ws: Workspace) -> None:
    data.save_source(ws, clicks(ws))
    with TestClient(data.push_app(ws)) as client:
        assert client.post("/events/clicks", json=events(1)[0]).json() == {"accepted": 1, "duplicates": 0}
        assert client.post("/events/clicks", json=events(3)).json() == {"accepted": 2, "duplicates": 1}
        lines = "\n".join(map(json.dumps, events(2, 3)))
        as_lines = {"content-type": "application/x-ndjson"}
        answer = client.post("/events/clicks", content=lines, headers=as_lines)
        assert answer.json() == {"accepted": 2, "duplicates": 0}
        wrong = client.post("/events/clicks", json=[*events(1, 9), {"id": "b", "n": "x"}])
        assert (wrong.status_code, wrong.json()["field"], wrong.json()["row"]) == (422, "n", 1)
        assert client.post("/events/clicks", content=b"{").status_code == 400
        assert client.post("/events/nothing", json={}).status_code == 404
        assert client.post("/events/clicks", content=b"[" + b" " * 9_000_000 + b"]").status_code == 413
        data.pause_source(ws, "clicks")
        time.sleep(1.1)
        assert client.post("/events/clicks", json=events(1, 20)).status_code == 503
        data.resume_source(ws, "clicks")
        assert client.post("/events/clicks", json=events(1, 20)).status_code == 200
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (
            data.exists(ws, "clicks") and data.table(ws, "clicks").num_rows == 6
        ):
            time.sleep(0.1)
    assert sorted(data.table(ws, "clicks")["n"].to_pylist()) == [0, 1, 2, 3, 4, 20]
    assert len(registry.events(ws, kind="table-version")) >= 1


def test_a_request_id_makes_events_without_key_repeatable(ws: Workspace) -> None:
    inbox = data.Inbox(clicks(ws, key=()))
    for accepted in (2, 0):
        assert inbox.accept([{"n": 1}, {"n": 1}], request_id="r1").result().accepted == accepted
    assert inbox.accept([{"n": 1}]).result().accepted == 1
    inbox.close()


SERVER = """
import sys, uvicorn
from raylake import data
from raylake.core import Workspace
uvicorn.run(data.push_app(Workspace.open(sys.argv[1])), port=int(sys.argv[2]), log_level="error")
"""


def start_server(ws: Workspace, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, ws.root, str(port)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
            return process
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@pytest.mark.slow
def test_every_answered_event_survives_kill_9_and_is_there_once(ws: Workspace) -> None:
    """The server is killed twice while clients send, each repeating what was not answered."""
    data.save_source(ws, clicks(ws))
    port = free_port()
    process = start_server(ws, port)
    done: set[str] = set()
    stop = threading.Event()

    def send(lane: int) -> None:
        number = 0
        with httpx.Client(timeout=5) as client:
            while not stop.is_set():
                batch = [{"id": f"{lane}-{number}-{at}", "n": at} for at in range(3)]
                try:
                    if client.post(f"http://127.0.0.1:{port}/events/clicks", json=batch).status_code == 200:
                        done.update(event["id"] for event in batch)
                        number += 1
                except httpx.HTTPError:
                    time.sleep(0.05)

    senders = [threading.Thread(target=send, args=(lane,)) for lane in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(2):
        before = len(done)
        deadline = time.monotonic() + 30
        while len(done) < before + 60 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start_server(ws, port)
    stop.set()
    for sender in senders:
        sender.join()
    process.send_signal(signal.SIGKILL)
    process.wait()
    while data.run_once(ws, clicks(ws)).lag:
        continue
    found = data.table(ws, "clicks")["id"].to_pylist()
    assert len(found) == len(set(found)) and len(done) > 100
    assert done <= set(found)
    assert not data.exists(ws, "quarantine.clicks")
