"""`make bench`: each workload in a process of its own; prints a table and writes bench.json.

A workload is a module `bench_*.py` beside this file with `run() -> list[Figure]`. Ratios are always to raylake of the
same run: above 1 raylake is ahead. Usage: run.py [part of a workload's name].
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from figures import read_emitted
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
CHILD = (
    "import importlib, sys; sys.path.insert(0, sys.argv[1]); import figures; "
    "figures.emit(importlib.import_module(sys.argv[2]).run())"
)


def main(words: list[str]) -> int:
    """Run the workloads whose name contains one of `words` (all without any)."""
    chosen = [path.stem for path in sorted(HERE.glob("bench_*.py")) if not words or any(w in path.stem for w in words)]
    figures = [figure for name in chosen for figure in _measure(name)]
    report = [{**figure, "ratio": _ratio(figure, figures)} for figure in figures]
    Path("bench.json").write_text(json.dumps({"machine": _machine(), "figures": report}, indent=2), encoding="utf-8")
    Console(width=120).print(_table(report))
    return 0 if figures else 1


def _measure(name: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-c", CHILD, str(HERE), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = read_emitted(done.stdout)
    if done.returncode or not found:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return [figure.as_dict() for figure in found]


def _ratio(figure: dict[str, Any], figures: list[dict[str, Any]]) -> float:
    ours = next(f["value"] for f in figures if f["workload"] == figure["workload"] and f["who"].startswith("raylake"))
    theirs = figure["value"]
    return float(theirs / ours if figure["better"] == "lower" else ours / theirs)


def _machine() -> dict[str, Any]:
    model = next((x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")), ":unknown")
    return {"cpus": os.cpu_count(), "cpu": model.partition(":")[2].strip(), "python": sys.version.split()[0]}


def _table(report: list[dict[str, Any]]) -> Table:
    table = Table(title="raylake and peers (ratio above 1: raylake is ahead)", title_justify="left")
    for column in ("workload", "who", "figure", "unit", "ratio", "spread"):
        table.add_column(column, justify="left" if column in ("workload", "who", "unit") else "right")
    for row in report:
        figure = f"{row['value']:,.3f}" if row["value"] < 100 else f"{row['value']:,.0f}"
        table.add_row(row["workload"], row["who"], figure, row["unit"], f"{row['ratio']:.2f}", f"{row['spread']:.2f}")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
