"""Pipelines: cost of a step over a bare Ray task, a wide map, lists of past runs, a day of the scheduler."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from figures import Figure, timed
from sqlalchemy import text

from raylake import pipelines
from raylake.core import Workspace, ensure_ray
from raylake.pipelines.store.runs import record_version
from raylake.registry.engine import writing
from raylake.testing.pipelines import LocalLauncher

CHAIN, WIDE, PAST, SCHEDULED = 50, 1000, 100_000, 500


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

PREFECT = f"""
import os, time
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
from prefect import flow, task

@task
def one(n):
    return n + 1

@flow
def chain(n):
    for _ in range({CHAIN}):
        n = one(n)
    return n

chain(0)
found = []
for start in range(3):
    begin = time.perf_counter()
    chain(start + 1)
    found.append((time.perf_counter() - begin) / {CHAIN} * 1e6)
print("FIGURE", sorted(found)[1], max(found) / min(found))
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
    found = [
        timed(
            "a step of a chain", "raylake",
            lambda: pipelines.run(ws, chain, n=next(counter)), per=CHAIN, unit="us",
        ),
        timed("a step of a chain", "limit: bare Ray task", bare_chain, per=CHAIN, unit="us"),
        *_prefect(),
        timed("1,000 parallel steps", "raylake", lambda: pipelines.run(ws, wide, count=0), repeat=1),
        timed(
            "1,000 parallel steps", "limit: bare Ray tasks",
            lambda: ray.get([bare.remote(n) for n in range(WIDE)]), repeat=1,
        ),
    ]  # fmt: skip
    return [*found, *_lists(), *_day()]


def _prefect() -> list[Figure]:
    try:
        from peers import peer_python
    except ImportError:
        return []
    done = subprocess.run([str(peer_python("prefect")), "-c", PREFECT], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURE"))
    return [
        Figure("a step of a chain", "Prefect (local)", float(line.split()[1]), "us", "lower", float(line.split()[2]))
    ]


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
    """Five hundred pipelines on one simulated day: share of one core that the scheduler itself takes."""
    ws = Workspace.open(Path(tempfile.mkdtemp()) / "lake")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(SCHEDULED):
        trigger = pipelines.Cron(f"{n % 60} {n // 60 % 24} * * *")
        pipelines.schedule(ws, f"s{n}", single, trigger, overlap="allow", missed="all", now=start)
    launcher, spent, driving = _Timed(), 0.0, 0.0
    for minute in range(24 * 60 + 1):
        begin, before = time.process_time(), launcher.seconds
        pipelines.tick(ws, launcher, start + timedelta(minutes=minute))
        driving = launcher.seconds - before
        spent += time.process_time() - begin - driving
    runs = pipelines.runs(ws, limit=None)
    if len(runs) != SCHEDULED or {each.state for each in runs} != {"finished"}:
        sys.exit(f"{len(runs)} runs of {SCHEDULED}: some were missed or doubled")
    # A turn each second of a real day: the turns of the simulation had all its runs, and cost this each.
    turns = 24 * 60 + 1
    return [Figure("a turn of the scheduler, 500 schedules", "raylake", spent / turns * 1e6, "us", "lower")]


class _Timed(LocalLauncher):
    """Drives in this process, and takes the time of it off the scheduler's."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def launch(self, ws: Workspace, run_id: str) -> None:
        begin = time.process_time()
        super().launch(ws, run_id)
        self.seconds += time.process_time() - begin
