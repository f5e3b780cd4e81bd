"""The LMDB store: the shipped contract, and what is particular to LMDB."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from raylake.core import ConfigError, StorageError, Workspace
from raylake.features import LmdbStore, open_online
from raylake.testing.online import OnlineStoreContract, item


class TestLmdb(OnlineStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> functools.partial[LmdbStore]:
        return functools.partial(LmdbStore, str(tmp_path / "online"))


class TestLmdbWithATinyMap(OnlineStoreContract):
    """Every few writes the map is full and grows, under readers of this and other processes."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> functools.partial[LmdbStore]:
        return functools.partial(LmdbStore, str(tmp_path / "online"), map_size=64 * 1024, sync_seconds=0.0)


def test_the_workspace_names_the_store(ws: Workspace) -> None:
    with open_online(ws) as store:
        store.put([item("k", 1)])
    assert (Path(ws.root) / "online" / "data.mdb").exists()


def test_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    ws = Workspace.open(tmp_path, online_url="memcached://host")
    with pytest.raises(ConfigError, match="memcached://host"):
        open_online(ws)


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(os.urandom(8192))
    with pytest.raises(StorageError, match="materialise the views again"):
        LmdbStore(str(tmp_path))


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="writable folder"):
        LmdbStore(str(tmp_path / "file" / "online"))


@pytest.mark.timeout(60)  # a starved resize took minutes
def test_readers_of_this_process_survive_a_growing_map(tmp_path: Path) -> None:
    store = LmdbStore(str(tmp_path), map_size=64 * 1024)
    store.put([item("k", 0, "x" * 100)])
    stop, errors = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            value = store.get_many([b"k"])[0]
            if value is None or value[16:] != b"x" * 100:
                errors.append(value)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for batch in range(20):
        store.put([(f"{batch}-{n}".encode(), bytes(1000)) for n in range(500)])
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == [] and store.count() == 10_001
    store.close()


def test_a_forked_child_is_refused_and_the_parent_unharmed(tmp_path: Path) -> None:
    store = LmdbStore(str(tmp_path))
    store.put([item("k", 1, "x")])
    child = os.fork()
    if child == 0:
        try:
            store.get_many([b"k"])
        except StorageError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.get_many([b"k"]) == [item("k", 1, "x")[1]]
    store.close()


def write_forever(folder: str, started: Connection) -> None:
    """Batches of 1,000 values that belong together, until somebody kills this process."""
    store = LmdbStore(folder, map_size=64 * 1024)
    for batch in itertools.count(1):
        store.put([item(f"{n}", batch, f"{batch}") for n in range(1000)])
        if batch == 20:
            started.send(None)


def test_a_writer_killed_midway_leaves_whole_batches_and_the_rest_is_written_again(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=write_forever, args=(str(tmp_path), there), daemon=True)
    process.start()
    assert here.poll(60)
    process.kill()
    process.join()
    keys = [f"{n}".encode() for n in range(1000)]
    with LmdbStore(str(tmp_path)) as store:
        values = store.get_many(keys)
        assert values[0] is not None and set(values) == {values[0]}, "half a batch is visible"
        reached = int(values[0][16:])
        assert reached >= 20
        assert store.put([item(f"{n}", reached - 1, "older") for n in range(1000)]) == 0
        assert store.put([item(f"{n}", reached + 1, "newer") for n in range(1000)]) == 1000
        assert set(store.get_many(keys)) == {item("", reached + 1, "newer")[1]}
