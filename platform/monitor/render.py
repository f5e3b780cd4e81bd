"""Renders drift reports with evidently, in a process of its own: ``python -m raylake.monitor.render``.

It reads one job per line from standard input, as JSON: ``reference`` and ``current`` (Parquet files), ``html`` and
``json`` (files to write), ``thresholds`` (column to limit of the population stability index). It answers each with one
line, ``{"seconds": 1.3, "skipped": [...]}``. evidently costs 3 to 6 seconds and 260 MB to import, so one process
renders many reports, and nothing else ever imports it. A report that fails ends the process: whoever started it reads
the reason from standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def main(jobs: Iterable[str], answers: IO[str]) -> None:
    """Render every job in `jobs`, answering each on `answers`."""
    for line in jobs:
        started = time.perf_counter()
        skipped = render(json.loads(line))
        answers.write(json.dumps({"seconds": time.perf_counter() - started, "skipped": skipped}) + "\n")
        answers.flush()


def render(job: Mapping[str, Any]) -> list[str]:
    """Render one report; returns the columns that evidently cannot take (no value on one side)."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    frames = {side: _frame(job[side]) for side in ("reference", "current")}
    numeric, text, skipped = _kinds(frames["reference"], frames["current"])
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=text)
    sides = {
        side: Dataset.from_pandas(frame[numeric + text], data_definition=definition) for side, frame in frames.items()
    }
    limits = {name: job["thresholds"][name] for name in numeric + text if name in job["thresholds"]}
    preset = DataDriftPreset(method="psi", per_column_threshold=limits)
    snapshot = Report([preset], include_tests=False).run(sides["current"], sides["reference"])
    snapshot.save_html(job["html"])
    snapshot.save_json(job["json"])
    return skipped


def _frame(path: str) -> pd.DataFrame:
    """Read Parquet as a frame of float64 and object columns only: evidently raises on Arrow-backed types."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, columns = pq.read_table(Path(path)), {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
            values[~np.isfinite(values)] = np.nan
            columns[name] = pd.Series(values)
        else:
            columns[name] = pd.Series(column.cast(pa.string()).to_pylist(), dtype=object)
    return pd.DataFrame(columns)


def _kinds(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[list[str], list[str], list[str]]:
    """Numeric, text, and skipped columns (evidently raises on a column without any value)."""
    numeric: list[str] = []
    text: list[str] = []
    skipped: list[str] = []
    for name in reference.columns:
        if not reference[name].notna().any() or not current[name].notna().any():
            skipped.append(name)
        elif reference[name].dtype == object or current[name].dtype == object:
            text.append(name)
        else:
            numeric.append(name)
    return numeric, text, skipped


if __name__ == "__main__":
    # evidently and its dependencies may write to standard output: the answers keep it, the rest goes to the log
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    main(sys.stdin, channel)
