"""Writers that die, disks that fill up, processes that race: real processes, real signals, a real full disk."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from raylake import data, registry
from raylake.core import StorageError, Workspace

PRELUDE = """
import importlib, os, signal, sys
import pyarrow as pa
from raylake import data
from raylake.core import Workspace
ws = Workspace.open(sys.argv[1], ray_address="local")
"""

# Kills this process with SIGKILL just before or just after its n-th Delta commit.
KILLER = """
commits = importlib.import_module("raylake.data.commits")
original, count = commits._commit_once, [0]
def deadly(*args):
    count[0] += 1
    last = count[0] == int(sys.argv[2])
    if last and sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    original(*args)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)
commits._commit_once = deadly
"""


def run(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_a_killed_write_resubmitted_is_there_once(ws: Workspace, when: str, mode: str) -> None:
    data.write(ws, "t", pa.table({"n": [0]}))
    write = f"data.write(ws, 't', pa.table({{'n': [1, 2]}}), app=('job', 1), mode='{mode}')"
    died = run(KILLER + write, ws.root, 1, when)
    assert died.returncode == -signal.SIGKILL, died.stderr
    old, new = [0], [0, 1, 2] if mode == "append" else [1, 2]
    assert sorted(data.table(ws, "t")["n"].to_pylist()) == (old if when == "before" else new)
    for _ in range(2):
        again = run(write, ws.root)
        assert again.returncode == 0, again.stderr
        assert sorted(data.table(ws, "t")["n"].to_pylist()) == new
    assert registry.table_version(ws, "t").version == 2


@pytest.mark.parametrize(("commit", "when"), [(1, "before"), (1, "after"), (2, "before"), (2, "after")])
def test_a_killed_ingest_run_again_has_every_row_once(ws: Workspace, tmp_path: Path, commit: int, when: str) -> None:
    """Rows and rejected rows, also when a new file came in between."""
    ingest = (
        "source = data.Source('t', data.Csv(sys.argv[-1] + '/*.csv'), schema={'n': 'int64'})\ndata.ingest(ws, source)"
    )
    (tmp_path / "a.csv").write_text("n\n1\nx\n2\n")
    died = run(KILLER + ingest, ws.root, commit, when, tmp_path)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert data.exists(ws, "t") == ((commit, when) != (1, "before"))
    (tmp_path / "b.csv").write_text("n\n3\ny\n")
    for _ in range(2):
        again = run(ingest, ws.root, tmp_path)
        assert again.returncode == 0, again.stderr
        assert sorted(data.table(ws, "t")["n"].to_pylist()) == [1, 2, 3]
        rows = data.table(ws, "quarantine.t")["row"].to_pylist()
        assert sorted(rows) == ['{"n":"x"}', '{"n":"y"}']
    assert registry.table_version(ws, "t").rows == 3
    assert registry.table_version(ws, "quarantine.t").rows == 2


def test_two_processes_append_twenty_times_each(ws: Workspace) -> None:
    code = (
        "for n in range(20):\n"
        "    data.write(ws, 't', pa.table({'n': [int(sys.argv[2]) * 100 + n]}), app=(sys.argv[2], n))"
    )
    command = [sys.executable, "-c", PRELUDE + code, ws.root]
    both = [subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE, text=True) for number in (1, 2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    expected = [hundred + n for hundred in (100, 200) for n in range(20)]
    assert sorted(data.table(ws, "t")["n"].to_pylist()) == expected
    assert [version.version for version in data.versions(ws, "t")] == list(range(1, 41))
    assert [version.rows for version in data.versions(ws, "t")] == list(range(1, 41))
    assert [version.version for version in registry.table_versions(ws, "t")] == list(range(1, 41))


# Mounts of its own, which end with the process: no rights outside are needed or changed.
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")

ON_A_DISK = """
import subprocess
from raylake.core import StorageError
ws = Workspace.open(sys.argv[1])
big = pa.table({"n": pa.array([os.urandom(400) for _ in range(10_000)])})
def attempt(*steps):
    for step in steps:
        try:
            step()
        except StorageError as error:
            print(type(error).__name__, error)
        else:
            print("no error")
"""


def on_a_disk(tmp_path: Path, code: str) -> list[str]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=2m tmpfs {folder} && exec "$0" "$@"'
    done = run(ON_A_DISK + code, folder / "lake", prefix=(*OWN_MOUNTS, "sh", "-c", mount))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_full_disk_is_a_storage_error_and_nothing_is_visible(tmp_path: Path) -> None:
    assert shutil.which("unshare")
    code = """
data.write(ws, "t", pa.table({"n": [b"first"]}), record=False)
attempt(lambda: data.write(ws, "t", big, record=False), lambda: data.write(ws, "new", big, record=False))
print(data.table(ws, "t").num_rows, data.exists(ws, "new"), data.versions(ws, "t")[-1].version)
print(data.write(ws, "t", pa.table({"n": [b"second"]}), record=False).rows)
"""
    first, second, facts, after = on_a_disk(tmp_path, code)
    for line in (first, second):
        assert line.startswith("StorageError the disk of") and "is full: nothing was committed" in line
    assert (facts, after) == ("1 False 1", "2")


def test_a_read_only_disk_is_a_storage_error(tmp_path: Path) -> None:
    code = """
data.write(ws, "t", pa.table({"n": [b"first"]}), record=False)
subprocess.run(["mount", "-o", "remount,ro", os.path.dirname(sys.argv[1])], check=True)
attempt(lambda: data.write(ws, "t", pa.table({"n": [b"second"]}), record=False))
print(data.table(ws, "t").num_rows)
"""
    error, rows = on_a_disk(tmp_path, code)
    assert error.startswith("StorageError") and "read-only" in error
    assert rows == "1"


def test_a_disk_that_is_full_at_the_commit_itself(tmp_path: Path) -> None:
    """The rows' file still fits, the log entry does not."""
    code = """
data.write(ws, "t", pa.table({"n": [b"first"]}), record=False)
commits = importlib.import_module("raylake.data.commits")
original = commits._commit_once
filler = os.path.join(os.path.dirname(sys.argv[1]), "filler")
def full(*args):
    with open(filler, "wb") as out:
        try:
            while True:
                out.write(b"x" * 512)
                out.flush()
        except OSError:
            pass
    original(*args)
commits._commit_once = full
attempt(lambda: data.write(ws, "t", pa.table({"n": [b"second"]}), record=False, app=("a", 1)))
commits._commit_once = original
os.remove(filler)
print(data.table(ws, "t").num_rows)
print(data.write(ws, "t", pa.table({"n": [b"second"]}), record=False, app=("a", 1)).rows)
"""
    error, rows, after = on_a_disk(tmp_path, code)
    assert error.startswith("StorageError") and "full" in error
    assert (rows, after) == ("1", "2")


def test_spaces_and_letters_in_the_root_are_fine_escapes_are_refused(tmp_path: Path) -> None:
    fine = Workspace.open(tmp_path / "a b é")
    assert data.write(fine, "t", pa.table({"n": [1]}), app=("a", 1)).rows == 1
    assert data.table(fine, "t@1").num_rows == 1 and len(data.versions(fine, "t")) == 1
    with pytest.raises(StorageError, match="percent sign"):
        data.write(Workspace.open(tmp_path / "a%20b"), "t", pa.table({"n": [1]}))
