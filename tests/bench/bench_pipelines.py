"""Pipelines: cost of a step over a bare Ray task, a wide map, lists of past runs, a day of the scheduler."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from figures import Figure, timed
from peers import peer_figures
from sqlalchemy import text

from raylake import pipelines
from raylake.core import Workspace, ensure_ray
from raylake.pipelines.store.runs import record_version
from raylake.pipelines.triggers import times
from raylake.registry.engine import writing

CHAIN, WIDE, PAST, SCHEDULED, MINUTES = 50, 1000, 100_000, 500, 24 * 60


@pipelines.step(cpus=0.5)
def one(n: int) -> int:
    """Hardly any work."""
    return n + 1


@pipelines.pipeline
def chain(n: int = 0):
    """Fifty steps, one after the other."""
    value = n
    for _ in range(CHAIN):
        value = one(value)
    return value


@pipelines.pipeline
def wide(count: int):
    """A map over a list."""
    return one.map(list(range(WIDE)))


@pipelines.pipeline
def single(due: str = ""):
    """One step."""
    return one(1)


# Past runs that have ended; one in a thousand failed.
FILL = """
WITH RECURSIVE past(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM past WHERE n < :past)
INSERT INTO pipeline_run (id, pipeline, version, definition, state, request, params, schedule, pool, priority,
                          fair_group, owner, token, drives, error, created_at, ended_at)
SELECT printf('%032d', n), substr('abc', n % 3 + 1, 1), 1, '', CASE WHEN n % 1000 THEN 'finished' ELSE 'failed' END, '',
       '{"n": 1}', '', 'default', 0, 'a', '', 1, 1, '', '2026-01-01 00:00:00.000000', '2026-01-01 00:00:01.000000'
FROM past
"""


def run() -> list[Figure]:
    """All workloads."""
    import ray

    ws = Workspace.open(Path(tempfile.mkdtemp()) / "lake", ray_address="local")
    ensure_ray(ws)
    bare = ray.remote(num_cpus=0.5)(lambda n: n + 1)

    def bare_chain() -> None:
        value = 0
        for _ in range(CHAIN):
            value = ray.get(bare.remote(value))

    counter = iter(range(10**9))
    ours = timed(
        "a step of a chain", "raylake", lambda: pipelines.run(ws, chain, n=next(counter)), per=CHAIN, unit="us"
    )
    limit = timed("a step of a chain", "limit: bare Ray task", bare_chain, per=CHAIN, unit="us")
    found = [
        ours,
        limit,
        Figure("overhead of a step over a bare Ray task", "raylake", ours.value - limit.value, "us", "lower"),
        timed(f"{WIDE:,} parallel steps", "raylake", lambda: pipelines.run(ws, wide, count=0), repeat=1),
        timed(
            f"{WIDE:,} parallel steps", "limit: bare Ray tasks",
            lambda: ray.get([bare.remote(n) for n in range(WIDE)]), repeat=1,
        ),
    ]  # fmt: skip
    return [*found, *_day(), *_lists(), *peer_figures("prefect", "prefect_steps.py", CHAIN)]


def _lists() -> list[Figure]:
    """List and filter a hundred thousand past runs."""
    ws = Workspace.open(Path(tempfile.mkdtemp()) / "lake")
    for name in ("a", "b", "c"):
        record_version(ws, name, "0", [])
    with writing(ws) as session:
        session.execute(text(FILL), {"past": PAST})
    return [
        timed("newest 100 of 100,000 runs", "raylake", lambda: pipelines.runs(ws)),
        timed("failed runs of one pipeline", "raylake", lambda: pipelines.runs(ws, pipeline="a", state="failed")),
    ]


def _day() -> list[Figure]:
    """Five hundred pipelines on one simulated day, every run on Ray: what the scheduler itself takes of one core."""
    ws = Workspace.open(Path(tempfile.mkdtemp()) / "lake", ray_address="local")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(SCHEDULED):
        named = single.with_options(name=f"job-{n}")
        pipelines.schedule(ws, f"s{n}", named, _times(n), overlap="allow", missed="all", now=start)
    with _Drivers() as drivers:
        spent = sum(_turn(ws, drivers, start + timedelta(minutes=minute)) for minute in range(MINUTES + 1))
        idle = sum(_turn(ws, drivers, start + timedelta(minutes=MINUTES, seconds=n)) for n in range(200)) / 200
    _check(ws, start)
    # The day's turns had all its runs; a scheduler that turns once a second has the others idle.
    share = (spent + idle * (86_400 - MINUTES)) / 86_400 * 100
    runs = f"{SCHEDULED} pipelines, {len(drivers.launched):,} runs in a day"
    return [
        Figure(f"{runs}: scheduler, of one core", "raylake", share, "%", "lower"),
        Figure("a turn of the scheduler with nothing due", "raylake", idle * 1e6, "us", "lower"),
    ]


def _times(n: int) -> pipelines.Cron:
    """Four in five pipelines daily, most others every six hours, a few every hour."""
    hours = "*" if n % 25 == 0 else "*/6" if n % 5 == 0 else str(n // 60 % 24)
    return pipelines.Cron(f"{n % 60} {hours} * * *")


def _turn(ws: Workspace, drivers: _Drivers, moment: datetime) -> float:
    """One turn; CPU seconds of the scheduler's own thread. The clock stands still until its runs have ended."""
    begin = time.thread_time()
    pipelines.tick(ws, drivers, moment)
    spent = time.thread_time() - begin
    drivers.wait()
    return spent


def _check(ws: Workspace, start: datetime) -> None:
    """Every time of every schedule has one run, and it has finished."""
    until = start + timedelta(minutes=MINUTES, seconds=200)
    due = {(f"s{n}", at) for n in range(SCHEDULED) for at in times(_times(n), start + timedelta(seconds=1), until)}
    runs = pipelines.runs(ws, limit=None)
    made = [(run.schedule, run.due_at) for run in runs]
    if set(made) != due or len(made) != len(due) or {run.state for run in runs} != {"finished"}:
        sys.exit(f"{len(made)} runs for {len(due)} times: some were missed, doubled or failed")


class _Drivers:
    """Drives runs on Ray, in threads of this process."""

    def __init__(self) -> None:
        self.launched: list[str] = []
        self._threads = ThreadPoolExecutor(8)
        self._driving: list[Future[object]] = []

    def launch(self, ws: Workspace, run_id: str) -> None:
        self.launched.append(run_id)
        self._driving.append(self._threads.submit(pipelines.drive, ws, run_id))

    def wait(self) -> None:
        for each in self._driving:
            each.result()
        self._driving.clear()

    def __enter__(self) -> _Drivers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
