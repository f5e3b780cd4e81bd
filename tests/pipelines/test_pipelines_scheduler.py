"""Schedules with a fake clock: nothing twice, nothing forgotten, whatever the clock and the scheduler do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_cases import named, square

from raylake import data, pipelines, registry
from raylake.core import Node, PipelineInvalid, Workspace
from raylake.pipelines import (
    Cron,
    Every,
    OnAlert,
    Once,
    OnEvent,
    OnFiles,
    OnModel,
    OnPipeline,
    OnTable,
    admission,
    tick,
)
from raylake.pipelines.admission import Candidate
from raylake.testing.pipelines import LocalExecutor, LocalLauncher

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pipelines.pipeline
def stamped(due: str = "", event: dict[str, object] = {}):  # noqa: B006 - a pipeline's default is never changed
    return named(due)


@pipelines.pipeline
def plain(n: int = 2):
    return square(n)


def dues(ws: Workspace, **wanted: str) -> list[str]:
    return [f"{run.due_at:%d %H:%M}" for run in pipelines.runs(ws, limit=None, **wanted) if run.due_at][::-1]


def test_hourly_runs_get_their_time(ws: Workspace) -> None:
    pipelines.schedule(ws, "hourly", stamped, Cron("0 * * * *"), now=NEW_YEAR)
    launcher = LocalLauncher()
    for minute in range(0, 240, 7):
        tick(ws, launcher, NEW_YEAR + timedelta(minutes=minute))
    assert dues(ws) == ["01 01:00", "01 02:00", "01 03:00"]
    assert pipelines.result(ws, pipelines.runs(ws)[-1]) == "2026-01-01T01:00:00+00:00"


@pytest.mark.parametrize(
    ("missed", "expected"), [("all", ["01 01:00", "01 02:00", "01 03:00"]), ("latest", ["01 03:00"]), ("none", [])]
)
def test_times_that_passed_while_nobody_looked(ws: Workspace, missed: str, expected: list[str]) -> None:
    pipelines.schedule(ws, "s", plain, Cron("0 * * * *"), missed=missed, overlap="queue", now=NEW_YEAR)  # type: ignore[arg-type]
    launcher = LocalLauncher()
    for _ in range(4):
        tick(ws, launcher, NEW_YEAR + 3.5 * HOUR)
    assert dues(ws) == expected
    assert {run.state for run in pipelines.runs(ws)} <= {"finished"}
    tick(ws, launcher, NEW_YEAR + 4 * HOUR)
    assert dues(ws)[-1] == "01 04:00"


def test_a_clock_that_goes_back_fires_nothing_again(ws: Workspace) -> None:
    pipelines.schedule(ws, "s", plain, Every(seconds=600), now=NEW_YEAR)
    launcher = LocalLauncher()
    for minute in (10, 20, 5, 12, 19, 21, 30, 0, 31):
        tick(ws, launcher, NEW_YEAR + timedelta(minutes=minute))
    assert dues(ws) == ["01 00:10", "01 00:20", "01 00:30"]


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        ("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=UTC), ["03-29 03:00+02:00", "03-30 02:30+02:00"]),
        ("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 02:30+02:00", "10-26 02:30+01:00"]),
        ("0 */12 * * *", datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 00:00+02:00", "10-25 12:00+01:00"]),
    ],
)
def test_clock_changes(expression: str, day: datetime, expected: list[str]) -> None:

    trigger, found, at = Cron(expression, "Europe/Berlin"), [], day
    for _ in expected:
        at = trigger.next_after(at) or at
        found.append(_local(at))
    assert found == expected


def _local(at: datetime) -> str:
    text = at.astimezone(ZoneInfo("Europe/Berlin")).isoformat()
    return text[5:16].replace("T", " ") + text[-6:]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 0 1 * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_times_only_rise(expression: str, zone: str, start: datetime) -> None:
    trigger, at = Cron(expression, zone), start.replace(tzinfo=UTC)
    for _ in range(30):
        following = trigger.next_after(at)
        assert following is not None and following > at
        assert trigger.next_after(following - timedelta(microseconds=1)) == following
        at = following


def test_overlap(ws: Workspace) -> None:
    for name in ("skip", "queue", "allow"):
        pipelines.schedule(ws, name, plain, Every(3600), overlap=name, now=NEW_YEAR)  # type: ignore[arg-type]
    held = LocalLauncher(hold=True)
    tick(ws, held, NEW_YEAR + HOUR)
    tick(ws, held, NEW_YEAR + HOUR + timedelta(seconds=10))
    second = NEW_YEAR + 2 * HOUR
    from raylake.pipelines.store import schedules as store

    # The first runs are said to be driven; their lease holds on past the second time.
    for each in store.running(ws):
        store.take_over(ws, each, second)
    tick(ws, held, second + timedelta(seconds=1))
    states = {name: [run.state for run in pipelines.runs(ws, schedule=name)] for name in ("skip", "queue", "allow")}
    assert states == {"skip": ["skipped", "running"], "queue": ["queued", "running"], "allow": ["running", "running"]}
    assert "still active" in pipelines.runs(ws, schedule="skip")[0].error


def test_backfill_takes_turns_with_daily_jobs(ws: Workspace) -> None:
    pipelines.schedule(ws, "daily", plain, Cron("0 6 * * *"), now=NEW_YEAR)
    pipelines.set_pool(ws, "default", 2)
    year = datetime(2025, 1, 1, tzinfo=UTC), NEW_YEAR
    assert len(pipelines.backfill(ws, "daily", *year)) == 365
    assert pipelines.backfill(ws, "daily", *year) == []
    held = LocalLauncher(hold=True)
    tick(ws, held, NEW_YEAR + timedelta(hours=6, seconds=1))
    groups = [pipelines.show(ws, run_id).group for run_id in held.launched]
    assert sorted(groups) == ["backfill:daily", "plain"]
    with pytest.raises(PipelineInvalid, match="first the earlier"):
        pipelines.backfill(ws, "daily", NEW_YEAR, NEW_YEAR)


def test_a_driver_that_died_is_replaced(ws: Workspace) -> None:
    run_id = pipelines.submit(ws, plain)
    dead, launcher = LocalLauncher(hold=True), LocalLauncher()
    assert tick(ws, dead, NEW_YEAR).launched == (run_id,)
    assert tick(ws, launcher, NEW_YEAR + timedelta(seconds=30)).launched == ()
    assert tick(ws, launcher, NEW_YEAR + timedelta(seconds=61)).recovered == (run_id,)
    assert pipelines.show(ws, run_id).state == "finished"


def test_two_schedulers_make_one_run(ws: Workspace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pipelines.schedule(ws, "s", plain, Every(60), missed="all", overlap="allow", now=NEW_YEAR)
    with ThreadPoolExecutor(4) as pool:
        for minute in (5, 10):
            moment = NEW_YEAR + timedelta(minutes=minute)
            list(pool.map(lambda _, at=moment: tick(ws, LocalLauncher(hold=True), at), range(4)))
    assert dues(ws) == [f"01 00:{minute:02d}" for minute in range(1, 11)]


def test_events(ws: Workspace, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "old.csv").write_text("1")
    data.write(ws, "flights", pa.table({"n": [1]}))
    triggers = {
        "table": OnTable("flights"),
        "model": OnModel("late"),
        "alert": OnAlert("error"),
        "hook": OnEvent("webhook", "webhook:new-*"),
        "chain": OnPipeline("plain"),
        "files": OnFiles(str(inbox), "*.csv"),
    }
    for name, trigger in triggers.items():
        pipelines.schedule(ws, name, stamped, trigger, now=NEW_YEAR)
    launcher = LocalLauncher()
    assert tick(ws, launcher, NEW_YEAR).fired == ()
    version = data.write(ws, "flights", pa.table({"n": [2]})).version
    registry.record_alert(ws, severity="error", subject=Node("endpoint", "x"), message="drift")
    registry.record_alert(ws, severity="info", subject=Node("endpoint", "x"), message="fine")
    pipelines.signal(ws, "new-data", {"day": 4})
    pipelines.signal(ws, "other")
    (inbox / "new.csv").write_text("2")
    (inbox / "new.txt").write_text("2")
    pipelines.drive(ws, pipelines.submit(ws, plain), executor=LocalExecutor())
    tick(ws, launcher, NEW_YEAR + timedelta(seconds=1))
    tick(ws, launcher, NEW_YEAR + timedelta(seconds=2))
    tick(ws, launcher, NEW_YEAR + timedelta(seconds=3))
    made = {run.schedule: run.params["event"] for run in pipelines.runs(ws) if run.schedule}
    assert made["table"] == {"table": "flights", "version": version}
    assert made["alert"]["message"] == "drift"
    assert made["hook"]["payload"] == {"day": 4}
    assert made["chain"]["kind"] == "pipeline-finished"
    assert made["files"] == {"file": str(inbox / "new.csv")}
    assert len(pipelines.runs(ws)) == 6, "each once, and the one that was submitted"
    registry.register_artifact(ws, registry.put_bytes(ws, b"m"), name="late")
    assert len(tick(ws, launcher, NEW_YEAR + timedelta(seconds=4)).fired) == 1


def test_once_and_switching_off(ws: Workspace) -> None:
    pipelines.schedule(ws, "once", plain, Once("2026-01-01T01:00:00"), now=NEW_YEAR)
    pipelines.schedule(ws, "off", plain, Every(60), now=NEW_YEAR)
    pipelines.enable(ws, "off", False)
    for hour in (1, 2, 3):
        tick(ws, LocalLauncher(), NEW_YEAR + hour * HOUR)
    assert dues(ws) == ["01 01:00"]
    pipelines.unschedule(ws, "off")
    assert [each.name for each in pipelines.schedules(ws)] == ["once"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cron("61 * * * *"), "cron expression '61 .*' is not valid"),
        (lambda: Cron("0 0 31 2 *"), "never comes true|is not valid"),
        (lambda: Cron("0 * * * *", "Mars/Olympus"), "time zone 'Mars/Olympus' is not known"),
        (lambda: Every(0), "give more than 0"),
        (lambda: Once("tomorrow"), "time 'tomorrow' is not valid: use ISO 8601"),
    ],
)
def test_wrong_triggers(make: object, message: str) -> None:
    with pytest.raises(PipelineInvalid, match=message):
        make()  # type: ignore[operator]


def test_wrong_schedules(ws: Workspace) -> None:
    with pytest.raises(
        PipelineInvalid, match="overlap='both' of schedule 's' is not valid: use skip or queue or allow"
    ):
        pipelines.schedule(ws, "s", plain, Every(60), overlap="both")  # type: ignore[arg-type]
    with pytest.raises(PipelineInvalid, match="pipeline 'plain' has no parameter 'm'; it has: n"):
        pipelines.schedule(ws, "s", plain, Every(60), params={"m": 1})


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        seq=st.integers(1, 10**6),
        id=st.uuids().map(str),
        pipeline=st.sampled_from("abc"),
        pool=st.sampled_from(["p", "q"]),
        priority=st.integers(0, 2),
        group=st.sampled_from("xyz"),
        schedule=st.sampled_from(["", "s"]),
        concurrency=st.sampled_from([None, 1, 2]),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(CANDIDATES, CANDIDATES, st.integers(0, 6))
def test_admission_keeps_every_limit_and_wastes_no_slot(
    queued: list[Candidate], active: list[Candidate], slots: int
) -> None:
    sizes = {"p": slots, "q": 2}
    chosen = admission.choose(queued, active, sizes, {"s"})
    assert len({run.id for run in chosen}) == len(chosen)
    for run in chosen:
        now = [*active, *chosen]
        assert sum(each.pool == run.pool for each in now) <= max(
            sizes[run.pool], sum(each.pool == run.pool for each in active)
        )
        if run.concurrency is not None:
            before = [*active, *chosen[: chosen.index(run)]]
            assert sum(each.pipeline == run.pipeline for each in before) < run.concurrency
    assert sum(run.schedule == "s" for run in chosen) <= 1
    assert admission.choose([run for run in queued if run not in chosen], [*active, *chosen], sizes, {"s"}) == []


def test_a_scheduler_tells_that_it_turns_until_it_stops(ws: Workspace) -> None:
    import threading
    import time
    from dataclasses import replace

    from raylake.pipelines.scheduler_actor import SchedulerLoop
    from raylake.pipelines.store import heartbeats

    loop = SchedulerLoop(ws, LocalLauncher(), period=0.05)
    thread = threading.Thread(target=loop.run)
    thread.start()
    until = time.monotonic() + 30
    while not pipelines.schedulers(ws) and time.monotonic() < until:
        time.sleep(0.02)
    (beat,) = pipelines.schedulers(ws)
    assert (beat.owner, beat.error, beat.turns >= 1) == (loop.beat.owner, "", True)
    loop.stop()
    thread.join(timeout=30)
    assert pipelines.schedulers(ws) == []
    host = beat.owner.split(":")[0]
    heartbeats.tell(ws, replace(beat, owner=f"{host}:1:1:killed", seen_at=datetime.now(UTC)))
    heartbeats.tell(ws, replace(beat, owner="elsewhere:1:1:silent", seen_at=datetime.now(UTC) - HOUR))
    heartbeats.tell(ws, replace(beat, owner="elsewhere:1:1:busy", seen_at=datetime.now(UTC)))
    assert [each.owner for each in pipelines.schedulers(ws)] == ["elsewhere:1:1:busy"]


def test_priorities_pools_and_the_limit_of_a_pipeline(ws: Workspace) -> None:
    alone = plain.with_options(name="alone", concurrency=1)
    pipelines.set_pool(ws, "small", 1)
    single = [pipelines.submit(ws, alone) for _ in range(3)]
    low, high = (pipelines.submit(ws, plain, pool="small", priority=priority) for priority in (0, 5))
    held = LocalLauncher(hold=True)
    assert set(tick(ws, held, NEW_YEAR).launched) == {single[0], high}, "one of its pipeline, one of its pool"
    assert tick(ws, held, NEW_YEAR + timedelta(seconds=1)).launched == ()
    for run in (single[0], high):
        pipelines.drive(ws, run, executor=LocalExecutor())
    assert set(tick(ws, held, NEW_YEAR + timedelta(seconds=2)).launched) == {single[1], low}
    pipelines.set_pool(ws, "small", 0)
    closed = pipelines.submit(ws, plain, pool="small", priority=9)
    assert closed not in tick(ws, held, NEW_YEAR + timedelta(seconds=3)).launched, "a pool of no slots starts nothing"
