"""The Redis store: the shipped contract on a real server, and what is particular: outages, restarts, expiry."""

from __future__ import annotations

import functools
import logging
import pickle
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from tests.stream_servers import RedisServer, free_port

from raylake.core import ConfigError, StorageError, Workspace
from raylake.features import OnlineStore, open_online
from raylake.features.codec import rank
from raylake.features.fallback import NullFallback
from raylake.features.redis_store import RedisStore
from raylake.testing.online import OnlineStoreContract, item


class TestRedis(OnlineStoreContract):
    @pytest.fixture
    def open_store(self, redis_server: RedisServer) -> Iterator[functools.partial[RedisStore]]:
        prefix = f"{uuid.uuid4().hex}:"
        yield functools.partial(RedisStore, redis_server.url, prefix)
        with RedisStore(redis_server.url, prefix) as store:
            store.drop(b"")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


def _workspace(folder: Path, url: str, name: str = "default") -> Workspace:
    return Workspace.open(folder / name, online_url=url, name=name)


def test_workspaces_share_a_database_without_seeing_each_other(tmp_path: Path, redis_server: RedisServer) -> None:
    first, second = (_workspace(tmp_path, redis_server.url, name) for name in ("first", "second"))
    with open_online(first) as one, open_online(second) as two:
        one.put([item("k", 1, "x")])
        assert two.get_many([b"k"]) == [None] and two.count() == 0
        assert two.drop(b"") == 0 and one.drop(b"") == 1


def test_an_outage_is_told_and_the_same_store_goes_on_after_it(own_server: RedisServer) -> None:
    store = RedisStore(own_server.url, "p:")
    store.put([item("k", 1, "x")])
    own_server.kill()
    calls = (
        lambda: store.get_many([b"k"]),
        lambda: store.put([item("k", 2)]),
        lambda: store.amend([(b"k", rank(9, 9), None)]),
        store.count,
        lambda: store.drop(b""),
        lambda: list(store.scan(b"")),
    )
    for call in calls:
        with pytest.raises(StorageError, match=f"127.0.0.1:{own_server.port}.*does not answer"):
            call()
    own_server.start()
    assert store.get_many([b"k"]) == [item("k", 1, "x")[1]]
    # The restarted server has forgotten the scripts; they are sent again.
    assert store.put([item("k", 0)]) == 0 and store.put([item("k", 2, "y")]) == 1
    assert store.put([item(f"{n}", 2) for n in range(2_000)]) == 2_000
    store.close()


def test_a_server_that_hangs_is_given_up(own_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RedisStore(f"{own_server.url}?socket_timeout=0.2", "p:")
    store.put([item("k", 1)])
    redis.Redis(port=own_server.port).execute_command("CLIENT", "PAUSE", 1_000)
    with pytest.raises(StorageError, match="does not answer"):
        store.get_many([b"k"])
    time.sleep(1)
    assert store.get_many([b"k"]) != [None]


def test_the_declared_fallback_answers_null_and_says_so_once(
    own_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_online(_workspace(tmp_path, f"{own_server.url}?fallback=null"))
    assert isinstance(store, NullFallback) and isinstance(store, OnlineStore)
    assert isinstance(pickle.loads(pickle.dumps(store)), NullFallback)
    store.put([item("k", 1, "x")])
    own_server.kill()
    with caplog.at_level(logging.WARNING, "raylake.features"):
        assert [store.get_many([b"k", b"j"]) for _ in range(3)] == [[None, None]] * 3
        with pytest.raises(StorageError):  # a write that did nothing would be a lie
            store.put([item("k", 2)])
        own_server.start()
        assert store.get_many([b"k"]) == [item("k", 1, "x")[1]]
    assert ["until" in r.message or "is back" in r.message for r in caplog.records] == [True, True]
    assert store.failures == 3
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.get_many([b"k"])


def test_values_vanish_when_they_are_past_keeping(redis_server: RedisServer) -> None:
    now = int(time.time() * 1e6)
    with RedisStore(redis_server.url, f"{uuid.uuid4().hex}:") as store:
        value = item("k", now - 900_000)
        assert store.put([value], keep=timedelta(seconds=1)) == 1
        deadline = time.monotonic() + 10
        while store.get_many([b"k"]) != [None]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert store.put([item("k", now)]) == 1  # without: it stays
        assert redis.Redis(port=redis_server.port).ttl(store._prefix + b"k") == -1
        store.drop(b"")


def test_a_full_server_says_what_to_do(own_server: RedisServer) -> None:
    redis.Redis(port=own_server.port).config_set("maxmemory", "1mb")
    store = RedisStore(own_server.url, "p:")
    with pytest.raises(StorageError, match="is full; raise its maxmemory"):
        for batch in range(100):
            store.put([(f"{batch}-{n}".encode(), bytes(1_000)) for n in range(1_000)])


def test_wrong_credentials_and_wrong_urls(
    own_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.Redis(port=own_server.port).config_set("requirepass", "right")
    monkeypatch.setenv("ONLINE_PASSWORD", "right")
    address = f"127.0.0.1:{own_server.port}/0"
    with RedisStore(f"redis://:${{ONLINE_PASSWORD}}@{address}", "p:") as store:
        assert store.put([item("k", 1)]) == 1
    with RedisStore(f"redis://:wrong@{address}", "p:") as store, pytest.raises(StorageError, match="crede") as told:
        store.get_many([b"k"])
    assert "wrong@" not in str(told.value)
    with pytest.raises(ConfigError, match="fallback='maybe'"):
        open_online(_workspace(tmp_path, f"redis://{address}?fallback=maybe"))
    with RedisStore(f"redis://127.0.0.1:{free_port()}/0", "p:") as store, pytest.raises(StorageError):
        store.get_many([b"k"])
