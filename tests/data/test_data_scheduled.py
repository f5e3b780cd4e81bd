"""Scheduled sources are pipelines: their schedules, their runs, and what happens when they fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raylake import data, pipelines, registry
from raylake.core import ConfigError, Workspace
from raylake.data.streaming.scheduled import keep_schedules
from raylake.testing.pipelines import LocalLauncher


def trips(folder: Path, **options: Any) -> data.Source:
    return data.Source("trips", data.Csv(f"{folder}/*.csv"), **{"every": "1h", **options})


def turn(ws: Workspace, now: datetime) -> list[pipelines.PipelineRun]:
    """One turn of the scheduler, its runs driven here; all runs of the source, oldest first."""
    pipelines.tick(ws, LocalLauncher(), now)
    found = [pipelines.show(ws, run.id) for run in pipelines.runs(ws, pipeline="source-trips")]
    return found[::-1]


def test_a_saved_source_runs_at_once_then_on_time_and_exactly_once(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    data.save_source(ws, trips(tmp_path))
    data.save_source(ws, trips(tmp_path))  # the same again changes nothing
    now = datetime.now(UTC)
    (first,) = turn(ws, now)
    assert (first.state, [step.key for step in first.steps]) == ("finished", ["ingest", "clean-up"])
    assert pipelines.output(ws, first, "ingest")["version"] == "trips@1"
    (tmp_path / "b.csv").write_text("id\n3\n")
    assert len(turn(ws, now)) == 1
    assert [run.state for run in turn(ws, now + timedelta(hours=1))] == ["finished"] * 2
    assert sorted(data.table(ws, "trips")["id"].to_pylist()) == [1, 2, 3]
    assert registry.source_record(ws, "trips").last_run_at is not None


def test_cron_and_its_zone_are_kept_by_the_scheduler(ws: Workspace, tmp_path: Path) -> None:
    data.save_source(ws, trips(tmp_path, every="30 6 * * mon-fri Europe/Berlin"))
    (found,) = pipelines.schedules(ws)
    assert found.trigger == {"type": "Cron", "expression": "30 6 * * mon-fri", "timezone": "Europe/Berlin"}
    assert found.next_due is not None and found.next_due.minute == 30
    data.save_source(ws, trips(tmp_path, every="5m"))
    assert pipelines.schedules(ws)[0].trigger["seconds"] == 300
    for wrong, said in (("61 * * * *", "not valid"), ("0 6 * * * Mars/Base", "Mars/Base"), ("soon", "'soon'")):
        with pytest.raises(ConfigError, match=f"every of source 'trips'.*{said}"):
            trips(tmp_path, every=wrong)
    with pytest.raises(ConfigError, match="every of source"):
        trips(tmp_path, every="0 6 * * *", continuous=True)


def test_a_failing_source_fails_its_run_is_alerted_once_and_recovers(ws: Workspace, tmp_path: Path) -> None:
    data.save_source(ws, trips(tmp_path))
    now = datetime.now(UTC)
    (failed,) = turn(ws, now)
    assert failed.state == "failed" and "no file matches" in failed.error
    assert failed.steps[0].attempts and len(failed.steps[0].attempts) == 3
    assert registry.source_record(ws, "trips").error.startswith("SourceError")
    assert len(registry.alerts(ws)) == 1
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert turn(ws, now + timedelta(hours=1))[-1].state == "finished"
    assert registry.source_record(ws, "trips").error == ""


def test_pause_resume_and_remove_are_the_schedules_too(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    data.save_source(ws, trips(tmp_path))
    data.pause_source(ws, "trips")
    now = datetime.now(UTC)
    turn(ws, now + timedelta(hours=2))
    assert not pipelines.schedules(ws)[0].enabled and not data.exists(ws, "trips")
    data.resume_source(ws, "trips")
    turn(ws, datetime.now(UTC) + timedelta(hours=3))
    assert data.table(ws, "trips").num_rows == 1
    data.remove_source(ws, "trips")
    assert pipelines.schedules(ws) == [] and pipelines.runs(ws, pipeline="source-trips")


def test_expired_rows_go_after_each_ingest(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,at\n1,2001-01-01T00:00:00Z\n2,2999-01-01T00:00:00Z\n")
    data.save_source(ws, trips(tmp_path))
    data.ingest(ws, trips(tmp_path))
    data.set_retention(ws, "trips", data.Retention(keep="30d", by="at"))
    (run,) = turn(ws, datetime.now(UTC))
    assert pipelines.output(ws, run, "clean-up")["rows"] == 1
    assert data.table(ws, "trips")["id"].to_pylist() == [2]


def test_schedules_follow_records_that_others_wrote(ws: Workspace, tmp_path: Path) -> None:
    registry.save_source(ws, "trips", data.source_to_plain(trips(tmp_path)))
    assert keep_schedules(ws, registry.source_records(ws))
    assert [each.name for each in pipelines.schedules(ws)] == ["source-trips"]
    registry.delete_source(ws, "trips")
    assert not keep_schedules(ws, registry.source_records(ws))
    assert pipelines.schedules(ws) == []
    data.save_source(ws, trips(tmp_path))
    data.save_source(ws, data.Source("trips", data.RedisStream("redis://x", "s"), continuous=True, every="1s"))
    assert pipelines.schedules(ws) == []
