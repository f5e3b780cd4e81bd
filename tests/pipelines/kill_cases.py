"""A pipeline that writes tables, and the process that drives it until somebody kills it."""

from __future__ import annotations

import sys

import pyarrow as pa

from raylake import data, pipelines
from raylake.core import Workspace
from raylake.pipelines import StepContext, step

PARTS = 3


@step(cpus=0.25, backoff=0.01, crash_retries=50)
def part(n: int, ws: Workspace, context: StepContext) -> str:
    rows = pa.table({"part": [n] * 4, "value": [n * 10 + k for k in range(4)]})
    return str(data.write(ws, "raw", rows, app=context.app, record=False))


@step(cpus=0.25, backoff=0.01, crash_retries=50)
def doubled(parts: list[str], ws: Workspace, context: StepContext) -> int:
    raw = data.table(ws, "raw")
    values = sorted(raw.column("value").to_pylist())
    data.write(ws, "doubled", pa.table({"value": [2 * each for each in values]}), app=context.app, record=False)
    return len(values)


@step(cpus=0.25, backoff=0.01, crash_retries=50)
def summed(rows: int, ws: Workspace, context: StepContext) -> int:
    total = sum(data.table(ws, "doubled").column("value").to_pylist())
    data.write(ws, "summed", pa.table({"rows": [rows], "total": [total]}), app=context.app, record=False)
    return total


@pipelines.pipeline
def tables():
    return summed(doubled(part.map(list(range(PARTS)))))


if __name__ == "__main__":
    import kill_cases  # the pipeline of the module that workers import, not of __main__

    ws = Workspace.open(sys.argv[1], ray_address=sys.argv[3])
    sys.stdout.write("go\n")
    sys.stdout.flush()
    pipelines.drive(ws, sys.argv[2], pipeline=kill_cases.tables)
