"""All records out of one registry and into another, across databases."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from raylake import registry
from raylake.core import Conflict, DataError, Node, Workspace


def fill(ws: Workspace) -> None:
    version = registry.record_table(ws, "t", 1, rows=2, schema={"id": "int64"}, operation="write")
    run = registry.start_run(ws, "fit", "first", params={"deep": {"x": [1, None]}}, inputs=[version.node])
    run = registry.finish_run(ws, run.id, metrics={"auc": float("nan")}, artifact=registry.put_bytes(ws, b"model"))
    registry.register(ws, run, name="m", alias="champion")
    registry.record_event(ws, "promoted", Node("model", "m", "1"), {"é": 1.5})


def dumped(ws: Workspace) -> bytes:
    out = io.BytesIO()
    registry.dump_records(ws, out)
    return out.getvalue()


def test_records_move_and_go_on(any_ws: Workspace, tmp_path: Path) -> None:
    """From either database to SQLite and back into the one they came from."""
    fill(any_ws)
    told = dumped(any_ws)
    other = Workspace.open(tmp_path / "other", registry_url="", online_url="")
    registry.load_records(other, io.BytesIO(told))
    assert dumped(other) == told
    with pytest.raises(Conflict, match="already"):
        registry.load_records(any_ws, io.BytesIO(told))
    registry.record_event(other, "next", Node("model", "m", "1"))
    registry.load_records(any_ws, io.BytesIO(dumped(other)), replace=True)
    assert dumped(any_ws) == dumped(other)
    assert registry.record_event(any_ws, "third", Node("model", "m", "1")).id == 3
    with pytest.raises(DataError, match="no snapshot"):
        registry.load_records(other, io.BytesIO(b"nonsense\n"), replace=True)
