"""The whole story through the command line, as a person would run it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raylake import data
from raylake.core import Workspace, find_cluster

RAYLAKE = str(Path(sys.executable).with_name("raylake"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _environment() -> dict[str, str]:
    return {**os.environ, "RAYLAKE_HTTP_PORT": "0", "RAYLAKE_RAY_ADDRESS": "local", "COLUMNS": "200"}


def _demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [RAYLAKE, "demo", "--fast", "--workspace", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("story") / "lake"
    done = _demo(folder, "--json")
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_the_story_has_a_good_end(told: tuple[Path, dict[str, object]]) -> None:
    _, result = told
    assert result["failed_requests"] == 0
    assert result["lineage_endpoint_to_raw"] is True
    assert result["rows_ingested"] + sum(result["quarantined"].values()) == 336_776 + 26_115 + 3_322  # type: ignore[operator, attr-defined]
    assert result["expectations_caught"]
    assert result["trials"] == 3
    assert result["auc_first"] > 0.65  # type: ignore[operator]
    assert list(result["auc_by_month"]) == [f"2013-{month:02d}" for month in range(7, 13)]  # type: ignore[call-overload]
    assert all(0.5 < auc < 0.9 for auc in result["auc_by_month"].values())  # type: ignore[attr-defined]
    assert {"ray dashboard", "endpoint docs", "report 2013-07"} <= set(result["urls"])  # type: ignore[call-overload]


def test_a_second_run_adds_no_row_and_keeps_an_endpoint_that_curl_reaches(
    told: tuple[Path, dict[str, object]],
) -> None:
    folder, first = told
    ws = Workspace.open(folder)
    names = ["flights", "weather", "planes", "predictions.flight-delay", "truth.flight-delay"]
    before = {name: data.table(ws, name).num_rows for name in names}
    command = [RAYLAKE, "demo", "--fast", "--keep", "--workspace", str(folder)]
    env = {**_environment(), "RAYLAKE_RAY_ADDRESS": "auto"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr
        assert "seconds in all" in done.stdout
        assert "done before: " in done.stdout
        assert f"{sum(month['requests'] for month in first['months']):,} requests" in done.stdout  # type: ignore[attr-defined]
        assert {name: data.table(ws, name).num_rows for name in names} == before
        log = data.table(ws, "predictions.flight-delay", columns=["id"])["id"]
        assert len(log.unique()) == len(log)
        (curl,) = re.findall(r"^curl .*?\}'$", done.stdout, re.MULTILINE | re.DOTALL)
        answer = json.loads(subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout)
        assert 0 <= answer["predictions"][0] <= 1
        assert f"raylake down --workspace {folder}" in done.stdout
    finally:
        down = subprocess.run([RAYLAKE, "down", "--json", "--workspace", str(folder)], capture_output=True, text=True)
    assert json.loads(down.stdout) == {"stopped": True}
    assert find_cluster(ws) is None


def test_two_at_once_are_refused_and_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    command = [RAYLAKE, "demo", "--fast", "--workspace", str(tmp_path)]
    first = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _wait_for(tmp_path / "tables" / "main" / "flights" / "_delta_log")
    second = _demo(tmp_path)
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    _wait_for(tmp_path / "tables" / "predictions" / "flight-delay" / "_delta_log")
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=120)
    assert first.returncode == 130, errors
    assert "continue" in errors
    assert not _processes_of(tmp_path)
    done = _demo(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert "(raylet)" not in errors + done.stderr, "Ray's own messages reached the terminal"
    result = json.loads(done.stdout)
    assert result["failed_requests"] == 0
    assert {f"report 2013-{month:02d}" for month in range(7, 13)} <= set(result["urls"])
    log = data.table(Workspace.open(tmp_path), "predictions.flight-delay", columns=["id"])["id"]
    assert len(log.unique()) == len(log)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 240
    while not path.is_dir():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.1)


def _processes_of(folder: Path) -> list[str]:
    """Command lines of live processes that name the workspace."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found
