"""Backup, restore, forget, purge, retention: what is there afterwards, and what is not, looked at on disk."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raylake import data, registry
from raylake.cli import main
from raylake.core import ArtifactCorrupt, ConfigError, Conflict, Node, NotFound, StorageError, Workspace


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "other", ray_address="local", registry_url="", online_url="")


def fill(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"id": [1, 2], "n": [0, 0]}), app=("job", 1))
    data.merge(ws, "t", pa.table({"id": [2], "n": [9]}), key=["id"])
    data.write(ws, "predictions.p", pa.table({"p": [0.5]}))
    run = registry.start_run(ws, "fit", "first", inputs=[registry.table_version(ws, "t").node])
    run = registry.finish_run(ws, run.id, metrics={"auc": float("nan")}, artifact=registry.put_bytes(ws, b"model"))
    registry.register(ws, run, name="m", alias="champion")
    registry.record_event(ws, "promoted", Node("model", "m", "1"), {"at": "now"})


def test_a_restored_workspace_is_the_same(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    fill(ws)
    made = data.backup(ws, tmp_path / "safe")
    assert made.tables == {"main.t": 2, "predictions.p": 1}
    data.restore_backup(tmp_path / "safe", other)
    for version in ("t@1", "t@2", "predictions.p"):
        assert data.table(other, version).equals(data.table(ws, version))
    dumps = [io.BytesIO(), io.BytesIO()]
    assert registry.dump_records(ws, dumps[0]) == registry.dump_records(other, dumps[1]) > 5
    assert dumps[0].getvalue() == dumps[1].getvalue()
    assert registry.get_bytes(other, registry.runs(other)[0].artifact or "") == b"model"
    assert data.write(other, "t", pa.table({"id": [1, 2], "n": [0, 0]}), app=("job", 1)).version == 1
    assert str(registry.record_event(other, "next", Node("model", "m", "1")).id) == "2"
    assert data.write(other, "t", pa.table({"id": [3], "n": [0]})).version == 3


def test_backups_are_incremental_and_each_stays_whole(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    fill(ws)
    safe = tmp_path / "safe"
    first = data.backup(ws, safe)
    idle = data.backup(ws, safe)
    assert idle.copied == 0 and idle.files == first.files
    data.write(ws, "t", pa.table({"id": [5], "n": [5]}))
    data.purge(ws, "t")
    third = data.backup(ws, safe)
    assert 0 < third.copied < third.bytes
    data.restore_backup(safe, other, id=first.id)
    assert data.table(other, "t@1")["n"].to_pylist() == [0, 0]
    with pytest.raises(Conflict, match="update"):
        data.restore_backup(safe, other)
    data.write(other, "stray", pa.table({"n": [1]}))
    data.restore_backup(safe, other, update=True)
    assert data.table(other, "t").sort_by("id").equals(data.table(ws, "t").sort_by("id"))
    assert not data.exists(other, "stray")
    assert registry.table_version(other, "t").version == 3
    assert data.prune_backups(safe, keep=1) == 2
    assert data.verify_backup(safe) == third.files
    with pytest.raises(NotFound, match=third.id):
        data.restore_backup(safe, other, id=first.id, update=True)


def test_a_damaged_backup_is_told_and_restores_nothing_wrong(ws: Workspace, other: Workspace, tmp_path: Path) -> None:
    fill(ws)
    made = data.backup(ws, tmp_path / "safe")
    (manifest,) = (tmp_path / "safe" / "backups").iterdir()
    stored = json.loads(manifest.read_text())["stored"]
    victim = next(one for one in stored if one["path"].endswith(".parquet"))
    content = tmp_path / "safe" / "objects" / victim["digest"][:2] / victim["digest"]
    content.write_bytes(content.read_bytes()[:-1] + b"x")
    for attempt in (
        lambda: data.verify_backup(tmp_path / "safe"),
        lambda: data.restore_backup(tmp_path / "safe", other, id=made.id),
    ):
        with pytest.raises(ArtifactCorrupt, match="parquet"):
            attempt()
    assert not data.exists(other, "t") and registry.tables(other) == []
    content.unlink()
    with pytest.raises(ArtifactCorrupt, match="missing"):
        data.verify_backup(tmp_path / "safe")
    with pytest.raises(ConfigError, match="inside the workspace"):
        data.backup(ws, Path(ws.root) / "safe")


def test_backup_on_the_command_line(
    ws: Workspace, other: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.write(ws, "t", pa.table({"n": [1]}))
    safe = str(tmp_path / "safe")
    assert main(["backup", safe, "--workspace", ws.root, "--verify", "--keep", "2"]) == 0
    assert main(["restore", safe, "--workspace", other.root]) == 0
    assert main(["restore", safe, "--workspace", other.root]) == 1
    assert data.table(other, "t")["n"].to_pylist() == [1]
    capsys.readouterr()
    assert main(["backup", safe, "--list", "--json"]) == 0
    assert [one["tables"] for one in json.loads(capsys.readouterr().out)] == [{"main.t": 1}]


def bytes_on_disk(ws: Workspace) -> bytes:
    files = [path for path in Path(ws.root, "tables").rglob("*") if path.is_file()]
    return b"\n".join(path.read_bytes() for path in files)


def test_forgotten_rows_are_off_the_disk_everywhere(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("patient,n\nsecret-ann,1\nsecret-ann,x\nbob,2\n")
    source = data.Source("visits", data.Csv(str(tmp_path / "a.csv")), schema={"patient": "string", "n": "int64"})
    data.ingest(ws, source)
    data.write(ws, "visits", pa.table({"patient": ["zoe"], "n": [7]}))
    data.derive(ws, "sums", "select patient, sum(n) as n from visits group by 1")
    data.derive(ws, "total", "select sum(n) as n from sums")
    training = registry.table_version(ws, "sums").node
    run = registry.start_run(ws, "fit", "first", inputs=[training])
    run = registry.finish_run(ws, run.id, metrics={}, artifact=registry.put_bytes(ws, b"model"))
    registry.register(ws, run, name="m")
    assert b"secret-ann" in bytes_on_disk(ws)
    done = data.forget(ws, "visits", pc.starts_with(pc.field("patient"), "secret"), key=["patient"])
    assert b"secret-ann" not in bytes_on_disk(ws)
    assert {one.name: (one.rows, one.left) for one in done.tables} == {
        "main.sums": (1, 0),
        "quarantine.visits": (1, 0),
        "main.visits": (1, 0),
    }
    assert (done.keys, done.unreachable, done.models) == (1, ("main.total",), ("m@1",))
    assert data.table(ws, "visits")["patient"].to_pylist() == ["bob", "zoe"]
    proof = json.loads(registry.get_bytes(ws, done.proof))
    assert proof["models"] == ["m@1"] and "secret" not in json.dumps(proof)
    kinds = [event.kind for event in registry.events(ws)]
    assert "forgotten" in kinds and "trained-on-forgotten" in kinds
    assert "retrain" in registry.alerts(ws, subject=Node("model", "m", "1"))[0].message
    again = data.forget(ws, "visits", [("patient", "==", "secret-ann")], key=["patient"])
    assert again.keys == 0 and all(one.rows == 0 for one in again.tables)
    assert data.ingest(ws, source).version == 1, "what was read is not read again"


def test_rows_that_were_only_in_older_versions_are_forgotten_too(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"id": ["secret-x", "b"]}))
    data.derive(ws, "copy", "select * from t")
    data.delete(ws, "t", [("id", "==", "secret-x")])
    done = data.forget(ws, "t", [("id", "==", "secret-x")], key=["id"])
    assert done.keys == 1 and data.table(ws, "copy")["id"].to_pylist() == ["b"]
    assert b"secret-x" not in bytes_on_disk(ws)


def test_retention_by_event_time_and_by_version(ws: Workspace) -> None:
    now = datetime(2024, 6, 1, tzinfo=UTC)
    for days in (200, 100, 50, 1):
        data.write(ws, "t", pa.table({"at": [now - timedelta(days=days)], "n": [days]}))
    data.set_retention(ws, "t", data.Retention(keep="90d", by="at", versions=2))
    (done,) = data.clean_up(ws, now=now)
    assert done.rows == 2 and sorted(data.table(ws, "t")["n"].to_pylist()) == [1, 50]
    newest = data.facts(ws, "t").version
    assert data.table(ws, f"t@{newest - 1}").num_rows == 4
    data.set_retention(ws, "t", data.Retention(versions=1))
    (done,) = data.clean_up(ws, now=now)
    assert done.files == 2
    with pytest.raises(StorageError, match="clean-up"):
        data.table(ws, f"t@{newest - 1}")
    with pytest.raises((NotFound, StorageError)):
        data.restore(ws, f"t@{newest - 1}")
    assert data.clean_up(ws, ["t"], now=now)[0].files == 0
    with pytest.raises(ConfigError, match="90d"):
        data.Retention(history="soon")
    with pytest.raises(NotFound):
        data.clean_up(ws, ["unknown"])


def test_versions_by_time_and_facts(ws: Workspace) -> None:
    before = datetime.now(UTC)
    for n in range(3):
        data.write(ws, "t", pa.table({"n": [n]}))
    told = data.versions(ws, "t")
    assert data.version_at(ws, "t", told[1].created_at).version in (2, 3)
    assert data.version_at(ws, "t", datetime.now(UTC)).version == 3
    with pytest.raises(NotFound, match="first version"):
        data.version_at(ws, "t", before - timedelta(hours=1))
    found = data.facts(ws, "t@2")
    assert (found.rows, found.files, found.operation) == (2, 2, "write") and found.bytes > 0


def test_the_change_feed_tells_what_happened(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"id": [1, 2, 3], "n": [0, 0, 0]}))
    data.merge(ws, "t", pa.table({"id": [2, 4], "n": [5, 5]}), key=["id"])
    data.delete(ws, "t", [("id", "==", 1)])
    data.compact(ws, "t")
    told = [
        (row["_commit_version"], row["_change_type"], row["id"], row["n"])
        for row in data.changes(ws, "t", since=1).to_pylist()
    ]
    assert sorted(told) == sorted(
        [
            (2, "update_preimage", 2, 0),
            (2, "update_postimage", 2, 5),
            (2, "insert", 4, 5),
            (3, "delete", 1, 0),
        ]
    )
    data.purge(ws, "t")
    with pytest.raises(NotFound, match="no longer"):
        data.changes(ws, "t", since=1)


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow"])
def test_export_and_load(ws: Workspace, tmp_path: Path, ending: str) -> None:
    data.write(ws, "t", pa.table({"id": [1, 2, 3], "s": ["a", "b,\n", "é"]}))
    file = tmp_path / f"out.{ending}"
    assert data.export(ws, "t", file, filter=[("id", ">", 1)]) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [file.name]
    assert data.load(ws, "back", file, app=("load", 1)).rows == 2
    assert data.load(ws, "back", file, app=("load", 1)).version == 1
    assert data.table(ws, "back")["s"].to_pylist() == ["b,\n", "é"]
    with pytest.raises(ConfigError, match="xlsx"):
        data.export(ws, "t", tmp_path / "out.xlsx")


def test_a_query_becomes_a_table_once_with_lineage(ws: Workspace) -> None:
    data.write(ws, "a", pa.table({"id": [1, 2]}))
    data.write(ws, "b", pa.table({"id": [2], "v": ["x"]}))
    query = "select a.id, b.v from a join b on a.id = b.id"
    first = data.derive(ws, "c", query, app=("daily", 1))
    data.write(ws, "a", pa.table({"id": [2]}))
    assert data.derive(ws, "c", query, app=("daily", 1)) == first
    second = data.derive(ws, "c", query, app=("daily", 2), at={"a": 1})
    assert (second.version, second.rows) == (2, 1)
    sources = {str(edge.source) for edge in registry.upstream(ws, second.node)}
    assert sources == {"table:main.a@1", "table:main.b@1"}
    with pytest.raises(ValueError, match="cannot be run"):
        data.derive(ws, "c", "select nothing from a")
    with pytest.raises(ValueError, match="cannot be run"):
        data.derive(ws, "c", "select 1 / (id - id) as n from a")
    assert data.facts(ws, "c").version == 2
