"""What only a SQLite file can do wrong."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import sqlite3
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from raylake import registry
from raylake.core import ConfigError, StorageError, Workspace
from raylake.registry import engine


def file_of(ws: Workspace) -> Path:
    return Path(ws.registry_url.removeprefix("sqlite:///"))


def test_the_file_is_set_up_for_many_processes(ws: Workspace) -> None:
    with engine.reading(ws) as session:
        found = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30000}


def test_readers_go_on_and_writers_wait_while_another_process_writes(ws: Workspace) -> None:
    registry.start_run(ws, "fit", "first")
    other = sqlite3.connect(file_of(ws), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    started = Event()

    def write() -> registry.Run:
        started.set()
        return registry.start_run(ws, "fit", "second")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(write)
        started.wait(10)
        assert [run.name for run in registry.runs(ws)] == ["first"]
        assert not waiting.done()
        other.execute("COMMIT")
        assert waiting.result(30).name == "second"
    other.close()


def test_one_process_at_a_time_sets_up_a_new_file(ws: Workspace) -> None:
    # Without the lock file, two that switch to WAL at once get "database is locked" now and then (1 of 100 times).
    with Path(f"{file_of(ws)}.lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = pool.submit(registry.tables, ws)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result(30) == []


def test_a_writer_that_waits_in_vain_says_so(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    registry.tables(ws)
    other = sqlite3.connect(file_of(ws), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"registry sqlite:///.*registry\.db cannot be used: database is locked"):
        registry.start_run(ws, "fit", "x")
    other.close()
    assert registry.start_run(ws, "fit", "x").status == "running"


def test_a_full_disk_keeps_what_was_recorded(ws: Workspace, disk: SimpleNamespace) -> None:
    registry.start_run(ws, "fit", "kept")
    size = file_of(ws).stat().st_size
    with disk.full(size), pytest.raises(StorageError, match="free space"):
        for _ in range(50):
            registry.start_run(ws, "fit", "lost", params={"big": "x" * size})
    assert [run.name for run in registry.runs(ws)] == ["kept"]
    registry.start_run(ws, "fit", "again")


def test_a_full_disk_at_the_first_use_leaves_no_half_schema(ws: Workspace, disk: SimpleNamespace) -> None:
    with disk.full(16384), pytest.raises(StorageError):
        registry.start_run(ws, "fit", "lost")
    assert registry.runs(ws) == []


def test_a_read_only_disk(open_ws: Workspace, disk: SimpleNamespace) -> None:
    registry.start_run(open_ws, "fit", "kept")
    other = dataclasses.replace(open_ws, registry_url=f"sqlite:///{open_ws.root}/other.db")
    engine.raw_engine(open_ws.registry_url, os.getpid()).dispose()
    with disk.read_only(Path(open_ws.root)):
        for ws in (open_ws, other):
            with pytest.raises(StorageError, match="writable"):
                registry.start_run(ws, "fit", "lost")
    engine.raw_engine(open_ws.registry_url, os.getpid()).dispose()
    assert [run.name for run in registry.runs(open_ws)] == ["kept"]


def test_a_file_that_is_no_database(ws: Workspace) -> None:
    file_of(ws).write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError, match="file is not a database"):
        registry.tables(ws)


def test_a_registry_that_is_a_folder(ws: Workspace) -> None:
    file_of(ws).mkdir()
    with pytest.raises(StorageError, match="unable to open database file"):
        registry.tables(ws)


def test_its_folder_is_created(ws: Workspace, tmp_path: Path) -> None:
    other = dataclasses.replace(ws, registry_url=f"sqlite:///{tmp_path}/deep/er/r.db")
    assert registry.tables(other) == [] and (tmp_path / "deep/er/r.db").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be created"):
        registry.tables(dataclasses.replace(ws, registry_url=f"sqlite:///{tmp_path}/file/r.db"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("mysql+pymysql://ann:hunter2@db/lake", "is not supported"),
        ("postgresql+nodriver://ann:hunter2@db/lake", "needs a driver"),
        ("oops hunter2", "cannot be parsed"),
        ("", "cannot be parsed"),
    ],
)
def test_urls_that_cannot_be_used(ws: Workspace, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        registry.tables(dataclasses.replace(ws, registry_url=url))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
