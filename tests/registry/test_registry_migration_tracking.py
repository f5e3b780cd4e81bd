"""Revision 0002: what 0001 held becomes rows, and goes back, losing nothing that 0001 can hold."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from sqlalchemy import text

from raylake import registry
from raylake.core import Workspace
from raylake.registry import engine

AT = "2024-01-02 03:04:05.000006"
RUNS = [
    ("a", "study", {"trials": 3}, {"best": 0.9}, {"by": "me"}, None, None),
    ("b", "trial", {"depth": 6, "rate": 0.5, "on": True, "none": None, "text": "x", "list": [1, "2"]},
     {"auc": 0.7, "loss": math.nan, "final": math.inf}, {"n": 1, "odd": "a\x00b"}, "a", AT),
    ("c", "fit", {}, {}, {}, None, None),
]  # fmt: skip
POINTS = [("b", "auc", 1, 0.5), ("b", "auc", 2, 0.7), ("b", "loss", 1, None), ("c", "gone", -3, 1.0)]


def rows(ws: Workspace, query: str) -> list[tuple[Any, ...]]:
    with engine.raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def old(ws: Workspace) -> None:
    """A registry as 0001 left it."""
    registry.migrate_schema(ws, "0001")
    zone = "+00" if ws.registry_url.startswith("postgresql") else ""
    run = (
        "INSERT INTO run (id, kind, name, status, params, metrics, tags, inputs, outputs, parent, error, created_at, "
        "ended_at) VALUES (:id, :kind, :id, 'running', :params, :metrics, :tags, '[]', '[]', :parent, '', :at, :end)"
    )
    point = (
        "INSERT INTO metric (run_seq, key, step, value, created_at) "
        "SELECT seq, :key, :step, :value, :at FROM run WHERE id = :id"
    )
    with engine.raw_engine(ws.registry_url, os.getpid()).begin() as connection:
        for name, kind, params, metrics, tags, parent, end in RUNS:
            packed = {"params": params, "metrics": metrics, "tags": tags}
            values = {name: json.dumps(value, separators=(",", ":")) for name, value in packed.items()}
            ended = end and end + zone
            connection.execute(
                text(run), {"id": name, "kind": kind, "parent": parent, "at": AT + zone, "end": ended, **values}
            )
        for name, key, step, value in POINTS:
            connection.execute(text(point), {"id": name, "key": key, "step": step, "value": value, "at": AT + zone})
        connection.execute(text("INSERT INTO model VALUES ('m', :at)"), {"at": AT + zone})
        version = "INSERT INTO model_version VALUES ('m', 1, 'x', 'b', '{}', '', :at)"
        connection.execute(text(version), {"at": AT + zone})


def snapshot(ws: Workspace) -> tuple[Any, ...]:
    """Everything of 0001 that tracking owns."""
    columns = "seq, id, kind, name, status, inputs, outputs, parent, artifact, error, created_at, ended_at"
    bags = [
        repr([json.loads(value) for value in row])
        for row in rows(ws, "SELECT params, metrics, tags FROM run ORDER BY seq")
    ]
    points = rows(ws, "SELECT run_seq, key, step, value, created_at FROM metric ORDER BY run_seq, key, step")
    return rows(ws, f"SELECT {columns} FROM run ORDER BY seq"), bags, points


def test_up_keeps_every_fact(any_ws: Workspace) -> None:
    old(any_ws)
    assert registry.migrate_schema(any_ws) != "0001"
    for name, kind, params, metrics, tags, parent, _ in RUNS:
        found = registry.run(any_ws, name)
        assert (found.kind, found.params, found.tags, found.parent) == (kind, params, tags, parent)
        assert repr(dict(sorted(found.metrics.items()))) == repr(dict(sorted(metrics.items())))
        assert (found.experiment_id, found.lifecycle) == (0, "active")
    assert registry.metric_history(any_ws, "b", "auc") == [(1, 0.5), (2, 0.7)]
    assert registry.metric_history(any_ws, "b", "final") == [(0, math.inf)]
    assert registry.measurements(any_ws, "b", "auc")[0].at.isoformat() == "2024-01-02T03:04:05.000006+00:00"
    assert [found.name for found in registry.search_runs(any_ws, "metrics.auc > 0.6").items] == ["b"]
    assert registry.model_version(any_ws, "m@1").run_id == "b"


def test_down_and_up_again_lose_nothing(any_ws: Workspace) -> None:
    old(any_ws)
    before = snapshot(any_ws)
    registry.migrate_schema(any_ws)
    assert registry.migrate_schema(any_ws, "0001") == "0001"
    runs, bags, points = snapshot(any_ws)
    assert runs == before[0]
    assert [sorted(bag) for bag in bags] == [sorted(bag) for bag in before[1]]
    assert [point for point in points if point[1] not in ("best", "final")] == before[2]
    registry.migrate_schema(any_ws)
    assert registry.run(any_ws, "b").params == RUNS[1][2]


def test_down_folds_what_0002_added(any_ws: Workspace) -> None:
    study = registry.start_run(any_ws, "study", "s", experiment=registry.create_experiment(any_ws, "e").id)
    run = registry.start_run(any_ws, "fit", "x", parent=study.id, params={"a": [1]})
    for value in (0.1, 0.2):
        registry.log_metrics(any_ws, run.id, {"auc": value}, step=1)
    registry.log_inputs(any_ws, run.id, [registry.Dataset("d", "1")])
    registry.delete_run(any_ws, study.id)
    registry.purge_run(any_ws, study.id)  # the run's parent is gone
    registry.migrate_schema(any_ws, "0001")
    assert rows(any_ws, "SELECT params, metrics, parent FROM run") == [('{"a":[1]}', '{"auc":0.2}', None)]
    assert rows(any_ws, "SELECT step, value FROM metric") == [(1, 0.2)]


def test_new_runs_count_on_after_a_migration(any_ws: Workspace) -> None:
    old(any_ws)
    made = registry.start_run(any_ws, "fit", "new")
    assert rows(any_ws, f"SELECT seq FROM run WHERE id = '{made.id}'") == [(4,)]
