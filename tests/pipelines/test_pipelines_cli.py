"""`raylake pipeline ...` without a cluster: lists, schedules, drawings, mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raylake import pipelines
from raylake.cli import main
from raylake.core import Workspace
from raylake.testing.pipelines import LocalExecutor


def call(ws: Workspace, *words: str) -> int:
    return main(["pipeline", *words, "--workspace", ws.root])


def test_a_run_is_listed_shown_and_drawn(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ws, "submit", "pipeline_cases:squares", "-p", "count=3") == 0
    run_id = capsys.readouterr().out.strip()
    pipelines.drive(ws, run_id, executor=LocalExecutor())
    assert (call(ws, "list", "--state", "finished", "--json"), call(ws, "show", run_id[:8], "--json")) == (0, 0)
    assert call(ws, "logs", run_id, "numbers") == 0
    assert call(ws, "draw", run_id[:8], "--format", "gantt") == 0
    shown = capsys.readouterr().out
    assert run_id in shown
    assert "counting to 3" in shown
    assert "<svg " in shown


def test_schedules(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ws, "schedule", "nightly", "pipeline_cases:squares", "--cron", "0 2 * * *") == 0
    assert call(ws, "backfill", "nightly", "2026-01-01", "2026-01-08") == 0
    told = capsys.readouterr()
    assert "7 runs queued" in told.out
    assert "no scheduler runs: start one with `raylake up`" in told.err
    assert call(ws, "unschedule", "nightly") == 0
    assert pipelines.schedules(ws) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "pipeline_cases:square"), "is a Step, not a pipeline"),
        (("run", "pipeline_cases:sqares"), "has no 'sqares': did you mean 'squares'?"),
        (("run", "pipeline_cases:squares", "-p", "count"), "parameter 'count' is not valid: write name=value"),
        (("run", "pipeline_cases:squares", "-p", "n=1"), "has no parameter 'n'; it has: count, folder"),
        (("run", "none.yaml"), "pipeline file 'none.yaml' cannot be read"),
        (("show", "abcdef"), "pipeline run 'abcdef' is not recorded"),
        (("schedule", "s", "pipeline_cases:squares"), "name one of --cron, --every and --on-table"),
        (("draw", "pipeline_cases:squares", "--format", "png"), "use mermaid, svg or gantt"),
    ],
)
def test_mistakes_are_explained(
    ws: Workspace, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert pipelines.runs(ws) == []  # the workspace is there
    assert call(ws, *words) == 1
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_up_starts_a_scheduler_that_runs_what_is_submitted(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    env = {**os.environ, "RAYLAKE_RAY_ADDRESS": "auto", "COLUMNS": "200"}
    env.pop("RAY_ADDRESS", None)

    def raylake(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("raylake")), *words, "--workspace", lake]
        done = subprocess.run(command, cwd=Path(__file__).parent, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "scheduler not running" in raylake("status")
    try:
        assert "with the scheduler of pipelines" in raylake("up")
        run = raylake("pipeline", "submit", "pipeline_cases:squares", "-p", "count=4").strip()
        until = time.monotonic() + 120
        while (found := json.loads(raylake("pipeline", "show", run, "--json")))["state"] != "finished":
            assert found["state"] in ("queued", "running") and time.monotonic() < until, found
        told = json.loads(raylake("status", "--json"))
        assert (len(told["schedulers"]), told["pipelines"][0]["id"]) == (1, run)
        assert "scheduler process " in raylake("status")
    finally:
        raylake("down")
    assert json.loads(raylake("status", "--json"))["schedulers"] == []
