"""Sources that merge by key, or keep every state of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylake import data
from raylake.core import ConfigError, Workspace

SCHEMA = {"id": "int64", "v": "string", "at": "timestamp"}


def put(folder: Path, name: str, *rows: str) -> None:
    (folder / name).write_text("\n".join(["id,v,at", *rows]) + "\n")


def source(folder: Path, **more: object) -> data.Source:
    return data.Source("t", data.Csv(str(folder / "*.csv")), schema=SCHEMA, key=["id"], event_time="at", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("partition_by", [(), ("v",)])
def test_a_source_merges_new_files_by_key(ws: Workspace, tmp_path: Path, partition_by: tuple[str, ...]) -> None:
    put(tmp_path, "a.csv", "1,old,2024-01-01", "1,new,2024-01-03", "2,x,2024-01-01", ",bad,2024-01-01")
    feed = source(tmp_path, mode="merge", partition_by=partition_by)
    first = data.ingest(ws, feed)
    assert (first.rows, first.metrics["rows_inserted"], first.metrics["rows_quarantined"]) == (2, 2, 1)
    assert data.ingest(ws, feed) == first
    put(tmp_path, "b.csv", "1,late,2024-01-02", "2,y,2024-01-05", "3,z,2024-01-05")
    second = data.ingest(ws, feed)
    assert (second.metrics["rows_stale"], second.metrics["rows_updated"]) == (1, 1)
    rows = sorted((row["id"], row["v"]) for row in data.table(ws, "t").to_pylist())
    assert rows == [(1, "new"), (2, "y"), (3, "z")]
    assert data.ingest(ws, feed) == second
    data.purge(ws, "t")
    assert len(list(Path(ws.root, "tables/main/t").glob("*.parquet"))) == data.facts(ws, "t").files


def test_a_source_keeps_every_state(ws: Workspace, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "1,a,2024-01-01", "1,b,2024-01-09")
    feed = source(tmp_path, mode="scd2")
    data.ingest(ws, feed)
    put(tmp_path, "b.csv", "1,c,2024-01-05")
    data.ingest(ws, feed)
    rows = data.table(ws, "t").sort_by("valid_from").to_pylist()
    days = [(row["v"], row["valid_from"].day, row["valid_to"] and row["valid_to"].day) for row in rows]
    assert days == [("a", 1, 5), ("c", 5, 9), ("b", 9, None)]


def test_a_keyed_mode_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key"):
        data.Source("t", data.Csv("x.csv"), mode="merge")
