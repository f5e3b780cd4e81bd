"""The queue: order, back-pressure, what an acknowledgement means, the ends of processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from raylake import registry
from raylake.core import NotFound, RaylakeError, StorageError, Workspace
from raylake.registry import engine
from raylake.registry.tracking import ingest
from raylake.registry.tracking.entries import Entry

SENDER = """
import sys, json
from raylake import registry
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], registry_url=sys.argv[2], online_url="")
run = registry.start_run(ws, "fit", "x")
print(run.id, flush=True)
writer = registry.MetricWriter(ws, run.id)
"""
ENDLESS = """
step = 0
while True:
    for _ in range(200):
        writer.log({"a": step, "b": -step}, step=step)
        step += 1
    writer.flush()
    print(step, flush=True)
"""


def start(code: str, ws: Workspace) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SENDER + code, ws.root, ws.registry_url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_acknowledged_survives_a_kill(any_ws: Workspace) -> None:
    child = start(ENDLESS, any_ws)
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    acknowledged = [int(child.stdout.readline()) for _ in range(5)][-1]
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    assert child.wait(30) == -signal.SIGKILL
    for key, sign in (("a", 1), ("b", -1)):
        found = registry.metric_history(any_ws, run_id, key)
        assert found[:acknowledged] == [(step, sign * step) for step in range(acknowledged)]
    assert registry.run(any_ws, run_id).metrics.keys() == {"a", "b"}


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit", "1 / 0"])
def test_the_end_of_a_process_flushes(ws: Workspace, end: str) -> None:
    child = start(f"for step in range(500): writer.log({{'a': step}}, step=step)\n{end}", ws)
    run_id = child.communicate(timeout=60)[0].strip()
    assert len(registry.metric_history(ws, run_id, "a")) == 500


def test_a_full_queue_makes_senders_wait_and_drops_nothing(ws: Workspace) -> None:
    run = registry.start_run(ws, "fit", "x")
    queue = ingest.Ingest(ws.registry_url, capacity=10)
    outcomes: list[RaylakeError | None] = []
    entries = [Entry(run.id, points=[("a", step, step, float(step))]) for step in range(40)]
    with engine.transaction(ws.registry_url):  # no other writer gets on
        sender = threading.Thread(target=lambda: [queue.submit(each, outcomes.append) for each in entries])
        sender.start()
        sender.join(1)
        assert sender.is_alive() and outcomes == []
        assert queue.submit(entries[0], outcomes.append, wait=False) is False
    sender.join(30)
    queue.close()
    assert outcomes == [None] * 40
    assert registry.metric_history(ws, run.id, "a") == [(step, step) for step in range(40)]


def test_an_entry_larger_than_the_queue_passes(ws: Workspace) -> None:
    run = registry.start_run(ws, "fit", "x")
    queue = ingest.Ingest(ws.registry_url, capacity=10)
    outcomes: list[Any] = []
    queue.submit(Entry(run.id, points=[("a", step, step, 0.0) for step in range(2500)]), outcomes.append)
    queue.flush()
    queue.close()
    assert outcomes == [None] and len(registry.measurements(ws, run.id, "a")) == 2500


def test_waiting_entries_share_a_transaction(any_ws: Workspace) -> None:
    ws = any_ws
    runs = [registry.start_run(ws, "fit", f"r{n}") for n in range(5)]
    queue = ingest.Ingest(ws.registry_url)
    written: list[int] = []
    real = ingest.write

    def counting(connection: Any, entries: Any) -> Any:
        written.append(len(entries))
        return real(connection, entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "write", counting)
        with engine.transaction(ws.registry_url) as connection:  # holds the run's row, or the whole file
            connection.execute(text("UPDATE run SET name = name"))
            for run in runs * 20:
                queue.submit(Entry(run.id, tags=[("n", "1", False)]), lambda outcome: None)
            time.sleep(0.3)
        queue.flush()
    queue.close()
    assert sum(written) == 100 and len(written) <= 3


def test_one_bad_entry_spoils_no_other(any_ws: Workspace) -> None:
    ws = any_ws
    run = registry.start_run(ws, "fit", "x")
    queue = ingest.Ingest(ws.registry_url)
    outcomes: list[Any] = []
    with engine.transaction(ws.registry_url) as connection:
        connection.execute(text("UPDATE run SET name = name"))
        for entry in (
            Entry(run.id, points=[("a", 0, 0, 1.0)]),
            Entry("nope", points=[("a", 0, 0, 1.0)]),
            Entry(run.id, points=[("b", 2**70, 0, 1.0)]),  # the database cannot hold it
            Entry(run.id, params=[("p", "1", False)]),
            Entry(run.id, params=[("p", "2", False)], tags=[("lost", "1", False)]),
            Entry(run.id, params=[("p", "1", False)], tags=[("kept", "1", False)]),
        ):
            queue.submit(entry, outcomes.append)
    queue.close()
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["NoneType", "NotFound", "DataError", "NoneType", "DataError", "NoneType"]
    found = registry.run(ws, run.id)
    assert (found.metrics, found.params, found.tags) == ({"a": 1.0}, {"p": "1"}, {"kept": "1"})


def test_a_registry_that_cannot_be_written_says_so_and_recovers(ws: Workspace) -> None:
    run = registry.start_run(ws, "fit", "x")
    writer = registry.MetricWriter(ws, run.id)
    with pytest.MonkeyPatch.context() as patch:

        def full(connection: Any, entries: Any) -> Any:
            raise StorageError("the disk is full")

        patch.setattr(ingest, "write", full)
        writer.log({"a": 1.0})
        with pytest.raises(StorageError, match="full"):
            writer.flush()
    writer.log({"a": 2.0})
    writer.flush()
    assert registry.run(ws, run.id).metrics == {"a": 2.0}


def test_a_closed_queue_takes_nothing(ws: Workspace) -> None:
    queue = ingest.Ingest(ws.registry_url)
    queue.close()
    queue.close()
    with pytest.raises(StorageError, match="closed"):
        queue.submit(Entry("x"), lambda outcome: None)


def test_a_forked_child_logs_through_a_queue_of_its_own(ws: Workspace) -> None:
    import multiprocessing

    run = registry.start_run(ws, "fit", "x")
    with registry.MetricWriter(ws, run.id) as writer:
        writer.log({"parent": 1.0})
    child = multiprocessing.get_context("fork").Process(target=_log, args=(ws, run.id))
    child.start()
    child.join(30)
    assert child.exitcode == 0 and registry.run(ws, run.id).metrics == {"parent": 1.0, "child": 2.0}


def _log(ws: Workspace, run_id: str) -> None:
    with registry.MetricWriter(ws, run_id) as writer:
        writer.log({"child": 2.0})


def test_an_error_inside_the_block_is_not_hidden(ws: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), registry.MetricWriter(ws, "nope") as writer:
        writer.log({"a": 1.0})
        raise ZeroDivisionError
    writer = registry.MetricWriter(ws, "nope")
    writer.log({"a": 1.0})
    with pytest.raises(NotFound):
        writer.close()


def test_unused_imports_stay_out(tmp_path: Path) -> None:
    code = "import sys, json, raylake.registry; print(json.dumps([m for m in sys.modules if 'mlflow' in m]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
