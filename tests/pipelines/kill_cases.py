"""A pipeline that writes tables, and the process that drives it until somebody kills it."""

from __future__ import annotations

import sys
import time

import pyarrow as pa

from raylake import data, pipelines
from raylake.core import Workspace
from raylake.pipelines import StepContext, step

PARTS = 3
# Two CPUs a step: at most three workers at once, for each that is killed has to be started again.


@step(cpus=2, backoff=0.01, crash_retries=50)
def part(n: int, name: str, ws: Workspace, context: StepContext) -> str:
    rows = pa.table({"part": [n] * 4, "value": [n * 10 + k for k in range(4)]})
    made = data.write(ws, f"raw.{name}", rows, app=context.app, record=False)
    time.sleep(0.05)  # written, and nobody knows it yet
    return str(made)


@step(cpus=2, backoff=0.01, crash_retries=50)
def doubled(parts: list[str], name: str, ws: Workspace, context: StepContext) -> int:
    raw = data.table(ws, f"raw.{name}")
    values = sorted(raw.column("value").to_pylist())
    data.write(ws, f"doubled.{name}", pa.table({"value": [2 * each for each in values]}), app=context.app, record=False)
    return len(values)


@step(cpus=2, backoff=0.01, crash_retries=50)
def summed(rows: int, name: str, ws: Workspace, context: StepContext) -> int:
    total = sum(data.table(ws, f"doubled.{name}").column("value").to_pylist())
    data.write(ws, f"summed.{name}", pa.table({"rows": [rows], "total": [total]}), app=context.app, record=False)
    return total


@pipelines.pipeline
def tables(name: str):
    return summed(doubled(part.map(list(range(PARTS)), name=name), name), name)


def check(ws: Workspace, name: str) -> None:
    """The tables are those of a run that nobody disturbed."""
    raw = sorted(data.table(ws, f"raw.{name}").column("value").to_pylist())
    assert raw == [n * 10 + k for n in range(PARTS) for k in range(4)], "each part once"
    assert sorted(data.table(ws, f"doubled.{name}").column("value").to_pylist()) == [2 * value for value in raw]
    assert data.table(ws, f"summed.{name}").to_pylist() == [{"rows": len(raw), "total": 2 * sum(raw)}]


if __name__ == "__main__":
    import kill_cases  # the pipeline of the module that workers import, not of __main__

    ws = Workspace.open(sys.argv[1], ray_address=sys.argv[3])
    sys.stdout.write("go\n")
    sys.stdout.flush()
    pipelines.drive(ws, sys.argv[2], pipeline=kill_cases.tables)
