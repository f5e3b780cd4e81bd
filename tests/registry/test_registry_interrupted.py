"""Runs of killed processes: the mark of a process, and ending what it left open."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from raylake import registry
from raylake.core import Workspace

CHILD = """
import sys, time
from raylake import registry
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], registry_url=sys.argv[2])
print(registry.start_run(ws, "train", "long", tags=registry.marked({"task": "binary"})).id, flush=True)
time.sleep(600)
"""


def _driver(ws: Workspace) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-c", CHILD, ws.root, ws.registry_url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_driver_s_run_is_ended_and_a_living_one_s_is_not(any_ws: Workspace) -> None:
    process, run = _driver(any_ws)
    unmarked = registry.start_run(any_ws, "fit", "by hand")
    own = registry.start_run(any_ws, "train", "mine", tags=registry.marked())
    assert registry.settle_interrupted(any_ws) == []
    process.kill()
    process.wait()
    (settled,) = registry.settle_interrupted(any_ws)
    assert (settled.id, settled.status) == (run, "stopped")
    assert settled.error.startswith(f"interrupted: process {process.pid} on ")
    assert settled.tags["task"] == "binary"
    assert registry.settle_interrupted(any_ws) == []
    assert {found.id for found in registry.runs(any_ws, status="running")} == {unmarked.id, own.id}


def test_many_settle_at_once_and_each_run_is_ended_once(any_ws: Workspace) -> None:
    facts = registry.marked()["process"] | {"started": 1}  # a process id that was used again
    made = [registry.start_run(any_ws, "trial", f"t{i}", tags={"process": facts}) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        settled = [
            run.id for found in pool.map(lambda _: registry.settle_interrupted(any_ws), range(4)) for run in found
        ]
    assert sorted(settled) == sorted(run.id for run in made)
    assert all(registry.run(any_ws, run.id).status == "stopped" for run in made)


def test_what_cannot_be_asked_stays(ws: Workspace) -> None:
    elsewhere = registry.marked()["process"] | {"system": "another machine", "started": 1}
    on_ray = elsewhere | {"cluster": "c0ffee", "job": "01000000"}
    for tag in (elsewhere, on_ray, "me", {"pid": 3}, None):
        registry.start_run(ws, "train", "x", tags={"process": tag})
    assert registry.settle_interrupted(ws) == []
