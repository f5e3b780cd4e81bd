"""`raylake features`: fill, look up, refresh, follow, keep, as a person would type it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from raylake import data
from raylake.cli import main
from raylake.core import Workspace

VIEWS = """
from raylake.features import Entity, FeatureSet, FeatureView
WEATHER = FeatureView("weather", "origin", event_time="seen", table="weather", columns=["temp"])
SEATS = FeatureView("seats", Entity("row", types={"row": "int64"}), event_time="seen", table="seats", columns=["price"])
BOTH = FeatureSet("both", [WEATHER, SEATS])
"""
NOW = datetime.now(UTC)


def weather(origin: str, temp: float, days: int = 0) -> pa.Table:
    return pa.table({"origin": [origin], "seen": [NOW - timedelta(days=days)], "temp": [temp]})


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    (tmp_path / "cli_views.py").write_text(VIEWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cli_views", raising=False)
    ws = Workspace.open(tmp_path / "lake")
    data.write(ws, "weather", weather("EWR", 39.5, days=1))
    data.write(ws, "seats", pa.table({"row": [7], "seen": [NOW], "price": [99.0]}))
    return ws


def test_a_day_with_the_online_store(lake: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str, code: int = 0) -> str:
        assert main(["features", *words, "--workspace", lake.root]) == code
        told = capsys.readouterr()
        return told.out if code == 0 else told.err

    assert run("materialise", "cli_views:BOTH") == "2 values written\n"
    found = run("get", "weather", "origin=EWR")
    assert found.startswith("weather: present, of ") and "39.5" in found
    assert json.loads(run("get", "seats", "row=7", "--json"))["values"] == {"price": 99.0}
    assert "not-found" in run("get", "cli_views:WEATHER", "origin=JFK")
    assert "names no key of 'weather': use origin=..." in run("get", "weather", "origins=JFK", code=1)
    assert "whole number, not 'x'" in run("get", "seats", "row=x", code=1)
    assert "view 'x' is not online; online are: seats, weather" in run("get", "x", "row=7", code=1)
    data.write(lake, "weather", weather("JFK", 41.0, days=9))
    behind = {each["view"]: each["behind"] for each in json.loads(run("freshness", "--json"))}
    assert behind == {"weather": 1, "seats": 0}
    done = {each["view"]: each["how"] for each in json.loads(run("refresh", "--json"))}
    assert done == {"weather": "changes", "seats": "nothing"}
    assert run("retention", "weather", "7d") == "weather: kept for 7d\n"
    (cleaned,) = json.loads(run("clean-up", "--json"))
    assert cleaned["removed"] == 1
    assert "'soon' is not valid" in run("retention", "weather", "soon", code=1)
    assert run("retention", "weather", "declared") == "weather: kept as declared\n"
    assert run("materialise", "weather@1") == "2 values written\n"
    assert run("get", "weather@1", "origin=JFK").startswith("weather: ")
    assert "view 'weather' has no version '7'" in run("materialise", "weather@7", code=1)


def test_following_ends_with_ctrl_c(lake: Workspace, tmp_path: Path) -> None:
    start = "import sys; from raylake.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "features", "follow", "cli_views:WEATHER", "--every", "20ms"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen([*command, "--workspace", lake.root], cwd=tmp_path, env=environment, text=True, **pipes)  # type: ignore[call-overload]
    deadline = time.monotonic() + 60
    while _temp(lake, "EWR") != 39.5:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    data.write(lake, "weather", weather("EWR", 40.0))
    while _temp(lake, "EWR") != 40.0:
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "ended; the next one goes on from here\n", "")


def _temp(ws: Workspace, origin: str) -> float | None:
    import cli_views  # type: ignore[import-not-found]

    from raylake.features import LookUp, open_online

    with open_online(ws) as store:
        found: float | None = LookUp(store, cli_views.WEATHER).get({"origin": origin})["temp"]
        return found
