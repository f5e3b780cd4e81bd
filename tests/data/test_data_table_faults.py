"""Tables under fire: writers killed at every step, rivals (on S3 too), a full disk, clean-up beside writers."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raylake import data
from raylake.core import SourceError, Workspace, urls

PRELUDE = """
import importlib, os, signal, sys
import pyarrow as pa
from raylake import data
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], ray_address="local", registry_url=sys.argv[2], online_url="lmdb:/nowhere")
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def deadly(module, name, when):
    module = importlib.import_module("raylake.data." + module)
    original = getattr(module, name)
    def call(*args):
        if when == "before":
            die()
        original(*args)
        die()
    setattr(module, name, call)
"""
WORK = {
    "merge": "data.merge(ws, 't', pa.table({'id': [2, 3], 'n': [9, 9]}), key=['id'], app=('job', 1), record=False)",
    "delete": "data.delete(ws, 't', [('id', '==', 1)], app=('job', 1), record=False)",
    "scd2": "data.scd2(ws, 't', pa.table({'id': [2, 3], 'n': [9, 9]}), key=['id'], app=('job', 1), record=False)",
    "replace": (
        "data.replace(ws, 't', pa.table({'id': [2], 'n': [9]}), [('id', '==', 2)], app=('job', 1), record=False)"
    ),
}
DEATHS = {
    "while writing": "importlib.import_module('raylake.data.rewrite').write_changes = die",
    "before the commit": "deadly('commits', '_commit_once', 'before')",
    "after the commit": "deadly('commits', '_commit_once', 'after')",
}


def start(ws: Workspace, code: str, *arguments: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, ws.root, ws.registry_url, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("work", WORK)
def test_a_killed_change_resubmitted_is_made_once(ws: Workspace, work: str, death: str) -> None:
    if work == "scd2":
        data.scd2(ws, "t", pa.table({"id": [1, 2], "n": [0, 0]}), key=["id"], record=False)
    else:
        data.write(ws, "t", pa.table({"id": [1, 2], "n": [0, 0]}), record=False)
    before = data.table(ws, "t").num_rows
    died = start(ws, f"{DEATHS[death]}\n{WORK[work]}")
    died.communicate(timeout=120)
    assert died.returncode == -signal.SIGKILL
    committed = data.facts(ws, "t").version == 2
    assert committed == (death == "after the commit")
    if not committed:
        assert data.table(ws, "t").num_rows == before
    for _ in range(2):
        exec(WORK[work], {"data": data, "ws": ws, "pa": pa})
    assert data.facts(ws, "t").version == 2
    found = sorted((row["id"], row["n"]) for row in data.table(ws, "t").to_pylist())
    expected = {
        "merge": [(1, 0), (2, 9), (3, 9)],
        "delete": [(2, 0)],
        "scd2": [(1, 0), (2, 0), (2, 9), (3, 9)],
        "replace": [(1, 0), (2, 9)],
    }
    assert found == expected[work]
    data.purge(ws, "t")
    assert len(list(Path(ws.root, "tables/main/t").glob("*.parquet"))) == data.facts(ws, "t").files


@pytest.mark.slow
def test_two_processes_append_fifty_times_each(ws: Workspace) -> None:
    data.write(ws, "t", pa.table({"n": [-1]}), record=False)
    code = (
        "for n in range(50):\n"
        "    data.write(ws, 't', pa.table({'n': [int(sys.argv[3]) * 100 + n]}), app=(sys.argv[3], n), record=False)"
    )
    for process in [start(ws, code, number) for number in (1, 2)]:
        finish(process)
    assert data.facts(ws, "t").version == 101
    expected = [-1, *(hundred + n for hundred in (100, 200) for n in range(50))]
    assert sorted(data.table(ws, "t")["n"].to_pylist()) == expected


@pytest.mark.slow
def test_merges_appends_and_compactions_at_once_lose_nothing(ws: Workspace) -> None:
    """Merges of the same keys, an appender and a compactor: the loser of each race works on the winner's version."""
    data.write(ws, "t", pa.table({"id": list(range(20)), "n": [0] * 20}), record=False)
    merge = (
        "me = int(sys.argv[3])\n"
        "for n in range(8):\n"
        "    batch = pa.table({'id': [n, me * 100 + n], 'n': [me, me]})\n"
        "    data.merge(ws, 't', batch, key=['id'], record=False)"
    )
    append = "for n in range(8):\n    data.write(ws, 't', pa.table({'id': [1000 + n], 'n': [0]}), record=False)"
    compact = "for n in range(4):\n    data.compact(ws, 't', record=False)"
    running = [start(ws, merge, 1), start(ws, merge, 2), start(ws, append), start(ws, compact)]
    for process in running:
        finish(process)
    found = {row["id"]: row["n"] for row in data.table(ws, "t").to_pylist()}
    assert data.table(ws, "t").num_rows == len(found)
    assert set(found) == {*range(20), *range(100, 108), *range(200, 208), *range(1000, 1008)}
    assert all(found[n] in (1, 2) for n in range(8)) and all(found[n] == 0 for n in range(8, 20))


def test_clean_up_never_takes_the_files_of_a_writer_at_work(ws: Workspace) -> None:
    """The writer has written its file and waits; a purge and a vacuum run; then it commits."""
    data.write(ws, "t", pa.table({"n": [1]}), record=False)
    code = """
import time
commits = importlib.import_module("raylake.data.commits")
original = commits._commit_once
def slow(*args):
    open(sys.argv[3], "w").close()
    while os.path.exists(sys.argv[3]):
        time.sleep(0.02)
    original(*args)
commits._commit_once = slow
data.write(ws, "t", pa.table({"n": [2]}), record=False)
"""
    flag = Path(ws.root) / "waiting"
    writer = start(ws, code, flag)
    while not flag.exists():
        assert writer.poll() is None
        time.sleep(0.02)
    assert data.vacuum(ws, "t", keep_hours=0) == 0
    assert data.purge(ws, "t") == 0
    flag.unlink()
    finish(writer)
    assert sorted(data.table(ws, "t")["n"].to_pylist()) == [1, 2]
    died = start(ws, code, flag)
    while not flag.exists():
        time.sleep(0.02)
    died.kill()
    died.communicate()
    assert data.vacuum(ws, "t", keep_hours=1) == 0
    assert data.vacuum(ws, "t", keep_hours=0) == 1
    assert sorted(data.table(ws, "t")["n"].to_pylist()) == [1, 2]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace whose tables lie on a real S3-compatible server."""
    (tmp_path / "s3" / "lake").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("localbucket")), "--port", str(port), str(tmp_path / "s3")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Workspace.open(
            "s3://lake/prod", registry_url=f"sqlite:///{tmp_path}/registry.db", online_url=f"lmdb:{tmp_path}/online"
        )
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_rivals_on_an_object_store_lose_nothing(store: Workspace) -> None:
    data.write(store, "t", pa.table({"id": [0], "n": [0]}), record=False)
    append = (
        "me = int(sys.argv[3])\n"
        "for n in range(8):\n"
        "    data.write(ws, 't', pa.table({'id': [me * 100 + n], 'n': [me]}), app=(sys.argv[3], n), record=False)\n"
        "data.merge(ws, 't', pa.table({'id': [0, me * 1000], 'n': [me, me]}), key=['id'], record=False)"
    )
    for process in [start(store, append, number) for number in (1, 2)]:
        finish(process)
    found = data.table(store, "t").to_pylist()
    assert sorted(row["id"] for row in found) == sorted([0, 1000, 2000, *range(100, 108), *range(200, 208)])
    assert data.facts(store, "t").version == 19
    assert [version.rows for version in data.versions(store, "t")][-1] == 19
    data.delete(store, "t", pc.field("id") >= 100)
    data.compact(store, "t", record=False)
    assert data.purge(store, "t") > 15
    assert data.table(store, "t")["id"].to_pylist() == [0]


@pytest.mark.slow
def test_a_backup_on_an_object_store_comes_back(store: Workspace, ws: Workspace, tmp_path: Path) -> None:
    data.write(store, "t", pa.table({"id": [1]}))
    data.write(store, "t", pa.table({"id": [2]}))
    made = data.backup(store, "s3://lake/safe")
    assert data.backup(store, "s3://lake/safe").copied == 0
    assert data.verify_backup("s3://lake/safe") == made.files
    data.restore_backup("s3://lake/safe", ws)
    assert data.table(ws, "t@1")["id"].to_pylist() == [1]
    data.write(ws, "t", pa.table({"id": [3]}))
    data.backup(ws, "s3://lake/safe")
    data.restore_backup("s3://lake/safe", store, update=True)
    assert sorted(data.table(store, "t")["id"].to_pylist()) == [1, 2, 3]


OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


def test_a_full_disk_in_the_middle_of_a_merge_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    code = """
from raylake.core import StorageError
big = pa.table({"id": list(range(5000)), "blob": [os.urandom(200) for _ in range(5000)]})
data.write(ws, "t", big, record=False)
try:
    data.merge(ws, "t", big, key=["id"], record=False)
except StorageError as error:
    print(error)
files = [name for name in os.listdir(ws.root + "/tables/main/t") if name.endswith("parquet")]
print(data.facts(ws, "t").version, data.table(ws, "t").num_rows, len(files))
print(data.delete(ws, "t", [("id", ">=", 10)], record=False).rows)
"""
    mount = f'mount -t tmpfs -o size=1600k tmpfs {folder} && exec "$0" "$@"'
    command = [*OWN_MOUNTS, "sh", "-c", mount, sys.executable, "-c", PRELUDE + code, str(folder / "lake"), ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    error, kept, after = done.stdout.splitlines()
    assert "is full: nothing was committed" in error
    assert (kept, after) == ("1 5000 1", "10")


@pytest.mark.slow
def test_sources_on_an_object_store_are_read_once(store: Workspace) -> None:
    """Globs, compressed files and the feed of a Delta table, all through one S3-compatible server."""
    bucket, _ = urls.filesystem("s3://lake")

    def put(name: str, content: bytes) -> None:
        with bucket.open_output_stream(f"lake/raw/{name}", compression=None) as out:
            out.write(content)

    put("2026/a.csv", b"id,n\n1,1\n2,2\n")
    put("2026/b.csv.gz", gzip.compress(b"id,n\n3,3\n"))
    source = data.Source("rows", data.Csv(["s3://lake/raw/2026/*.csv", "s3://lake/raw/2026/*.gz"]))
    assert str(data.ingest(store, source)) == str(data.ingest(store, source)) == "rows@1"
    put("2026/c.csv", b"id,n\n4,x\n5,5\n")
    assert data.ingest(store, source).rows == 4
    assert data.table(store, "quarantine.rows")["reason"].to_pylist() == ["n: 'x' is not a valid int64"]
    feed = data.Source("mirror", data.DeltaFeed("s3://lake/prod/tables/main/rows"))
    assert data.ingest(store, feed).rows == 4
    with pytest.raises(SourceError, match=r"no file matches.*s3://lake/nothing"):
        data.ingest(store, data.Source("none", data.Csv("s3://lake/nothing/*.csv")))


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("gs://lake/prod", "GcsFileSystem", "lake/prod"),
        ("abfs://lake@acme.dfs.core.windows.net/prod", "AzureFileSystem", "lake/prod"),
    ],
)
def test_urls_of_other_clouds_open_their_file_system(url: str, kind: str, path: str) -> None:
    """No cloud is asked: that the address means the right bucket is all that can be tested here."""
    store, inside = urls.filesystem(urls.normalise(url))
    assert (type(store).__name__, inside) == (kind, path)
