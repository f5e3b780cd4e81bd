"""The flight story as a pipeline: killed in the middle of its steps and resumed, then run again by a schedule."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flight_cases import two_months

from raylake import data, pipelines, registry, serve
from raylake.core import Workspace
from raylake.demo.pipeline import flights

RAYLAKE = str(Path(sys.executable).with_name("raylake"))
POINTS = ("ingest", "search", "deploy", "replay-2013-07", "challenge-2013-08")


def test_the_whole_year_is_drawn_without_running() -> None:
    assert len(flights.graph.keys) == 9 + 5 * 6
    assert "replay-2013-12" in flights.mermaid()
    assert flights.svg().startswith("<svg ")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_in_five_steps_and_resumed_it_comes_out_as_if_undisturbed(ray_ws: Workspace) -> None:
    chance = random.Random(2013)
    run = pipelines.submit(ray_ws, two_months)
    try:
        for point in POINTS:
            driver = _resume(ray_ws, run)
            _wait_until_begun(ray_ws, run, point, driver)
            time.sleep(chance.uniform(0.0, 1.0))
            driver.kill()
            driver.wait()
        last = _resume(ray_ws, run)
        assert last.wait() == 0, pipelines.show(ray_ws, run).error
        _check_outcome(ray_ws, run)
        before = _versions(ray_ws)
        assert _run_by_schedule(ray_ws).state == "finished"
        assert _versions(ray_ws) == before, "what is there is found, not made again"
    finally:
        serve.shutdown(ray_ws)


def _resume(ws: Workspace, run: str) -> subprocess.Popen[bytes]:
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [RAYLAKE, "pipeline", "resume", run, "--workspace", ws.root]
    env = {**os.environ, "RAYLAKE_RAY_ADDRESS": address, "RAYLAKE_HTTP_PORT": "0"}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_until_begun(ws: Workspace, run: str, point: str, driver: subprocess.Popen[bytes]) -> None:
    """Wait until the step is at work, or already done by an earlier driver."""
    while True:
        found = {step.key: step.state for step in pipelines.show(ws, run).steps}
        if found.get(point) in ("running", "finished"):
            return
        assert driver.poll() is None, f"the driver ended before {point}: {pipelines.show(ws, run).error}"
        time.sleep(0.05)


def _check_outcome(ws: Workspace, run: str) -> None:
    july, august = pipelines.result(ws, run)
    assert (july["month"], august["month"]) == ("2013-07", "2013-08")
    assert july["failed"] == august["failed"] == 0
    rows = {name: data.table(ws, name).num_rows for name in ("flights", "weather", "planes")}
    aside = sum(data.table(ws, f"quarantine.{name}").num_rows for name in rows if data.exists(ws, f"quarantine.{name}"))
    assert sum(rows.values()) + aside == 336_776 + 26_115 + 3_322
    asked = data.sql(
        ws,
        "select flight_id from flights where (scheduled_at >= timestamp '2013-07-01 00:00:00' and scheduled_at < "
        "timestamp '2013-07-04 00:00:00') or (scheduled_at >= timestamp '2013-08-01 00:00:00' and scheduled_at < "
        "timestamp '2013-08-04 00:00:00')",
    )
    answered = data.table(ws, "predictions.flight-delay", columns=["id"])["id"]
    assert sorted(answered.to_pylist()) == sorted(asked["flight_id"].to_pylist()), "each flight asked about once"
    versions = {name: version for name, version in _versions(ws).items() if name != "predictions.flight-delay"}
    # An undisturbed run writes every table once, the outcomes month by month, and one challenger.
    assert {name: version for name, version in versions.items() if version != 1} == {
        "truth.flight-delay": 2, "model flight-delay": 2,
    }  # fmt: skip
    attempts = registry.runs(ws, kind="monitor", limit=None)
    assert [attempt.status for attempt in attempts] == ["finished"]


def _versions(ws: Workspace) -> dict[str, Any]:
    tables: dict[str, Any] = {table.name: table.version for table in registry.tables(ws)}
    return {**tables, "model flight-delay": registry.model_version(ws, "flight-delay").version}


def _run_by_schedule(ws: Workspace) -> pipelines.PipelineRun:
    moment = datetime.now(UTC) + timedelta(seconds=1)
    pipelines.schedule(ws, "soon", two_months, pipelines.Once(moment.isoformat()))
    pipelines.start_scheduler(ws, period=0.2)
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            found = pipelines.runs(ws, schedule="soon")
            if found and found[0].ended_at is not None:
                return found[0]
            time.sleep(0.2)
    finally:
        pipelines.stop_scheduler(ws)
    raise AssertionError("the scheduled run did not end")
