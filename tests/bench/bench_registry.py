"""The registry's writes and reads on SQLite, beside bare SQLite."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from figures import Figure, timed

from raylake import registry
from raylake.core import Workspace

RUNS = 200


def run() -> list[Figure]:
    """Record runs with ten parameters and metrics each; look one up."""
    folder = Path(tempfile.mkdtemp())
    ws = Workspace.open(folder / "lake")
    params = {f"p{index}": index for index in range(10)}
    metrics = {f"m{index}": float(index) for index in range(10)}

    def ours() -> None:
        for _ in range(RUNS):
            made = registry.start_run(ws, "fit", "bench", params=params)
            registry.finish_run(ws, made.id, metrics=metrics)

    def bare() -> None:
        with sqlite3.connect(folder / "bare.db", isolation_level=None) as db:
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=normal")
            db.execute("create table if not exists runs (id integer primary key, params text, metrics text)")
            for _ in range(RUNS):
                cursor = db.execute("insert into runs (params) values (?)", [str(params)])
                db.execute("update runs set metrics = ? where id = ?", [str(metrics), cursor.lastrowid])

    return [
        timed("record a run", "raylake", ours, per=RUNS, unit="us"),
        timed("record a run", "limit: bare SQLite", bare, per=RUNS, unit="us"),
    ]
