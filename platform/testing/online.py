"""Conformance suite for online stores: subclass, give it a way to open the store, run it with pytest.

Example::

    class TestLmdb(OnlineStoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return functools.partial(LmdbStore, str(tmp_path))
"""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake.core import StorageError
from raylake.features.codec import rank
from raylake.features.online import OnlineStore

OpenStore = Callable[[], OnlineStore]


def item(key: str, event: int, text: str = "", created: int | None = None) -> tuple[bytes, bytes]:
    """A key and a value of the given rank.

    Example:
        >>> item("k", 5, "x")[1][-1:]
        b'x'
    """
    return key.encode(), rank(event, event if created is None else created) + text.encode()


class OnlineCorrections:
    """The part of the contract about what is taken back, looked through and no longer kept."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[OnlineStore]:
        """The store, open."""
        with open_store() as store:
            yield store

    def test_drop_spares_what_is_not_below_a_rank(self, store: OnlineStore) -> None:
        """As retention needs it; a prefix is bytes, not a pattern."""
        store.put([item("v*1", -9), item("v*2", 4), item("v*3", 5), item("vx1", 1)])
        assert store.drop(b"v*", below=rank(5, 0)) == 2
        assert store.get_many([b"v*1", b"v*2", b"v*3", b"vx1"])[2:] == [item("", 5)[1], item("", 1)[1]]
        assert store.count() == 2

    def test_amend_takes_back_what_was_wrong_and_spares_what_is_newer(self, store: OnlineStore) -> None:
        """An older value in the place of a deleted one, nothing in the place of the only one."""
        store.put([item("back", 5, "wrong"), item("gone", 5), item("newer", 9, "right")])
        limit, older = rank(5, 5), item("", 3, "before")[1]
        corrections = [
            (b"back", limit, older),
            (b"gone", limit, None),
            (b"newer", limit, older),
            (b"absent", limit, None),
        ]
        assert store.amend(corrections) == 2
        assert store.get_many([b"back", b"gone", b"newer", b"absent"]) == [older, None, item("", 9, "right")[1], None]
        assert store.amend(corrections) == 0 == store.amend([])

    def test_scan_gives_every_pair_of_a_prefix(self, store: OnlineStore) -> None:
        """More of them than one page, beside neighbours."""
        wanted = dict(item(f"b{n}", n, f"{n}") for n in range(10_000))
        store.put([*wanted.items(), item("a", 1), item("c", 1)])
        assert dict(store.scan(b"b")) == wanted and dict(store.scan(b"none")) == {}

    def test_what_is_past_keeping_is_not_written(self, store: OnlineStore) -> None:
        """The newer value is, and stays for now."""
        now = int(time.time() * 1e6)
        hours = 3_600_000_000
        kept, late = item("kept", now - hours), item("late", now - 3 * hours)
        assert store.put([kept, late], keep=timedelta(hours=2)) == 1
        assert store.get_many([b"kept", b"late"]) == [kept[1], None]

    def test_many_keys_in_one_call(self, store: OnlineStore) -> None:
        """More than become visible together, half of them older than what is stored."""
        store.put([item(f"{n}", n % 2 * 10) for n in range(12_345)])
        assert store.put([item(f"{n}", 5, "x") for n in range(12_345)]) == 6_173
        found = store.get_many([f"{n}".encode() for n in range(12_345)])
        assert found == [item("", *((10,) if n % 2 else (5, "x")))[1] for n in range(12_345)]


class OnlineStoreContract(OnlineCorrections):
    """What every `raylake.features.OnlineStore` must do. Needs a fixture `open_store`: a picklable callable that
    opens the same store, empty at the start of the test, each time it is called."""

    def test_it_is_an_online_store(self, store: OnlineStore) -> None:
        """The protocol's methods are there."""
        assert isinstance(store, OnlineStore)

    def test_values_come_back_in_the_order_asked_and_missing_ones_are_none(self, store: OnlineStore) -> None:
        """One call, several keys, one of them twice."""
        a, b = item("a", 1, "x"), item("b", 2, "")
        assert store.put([a, b]) == 2
        assert store.get_many([b"b", b"missing", b"a", b"b"]) == [b[1], None, a[1], b[1]]
        assert store.get_many([]) == []

    def test_putting_nothing_writes_nothing(self, store: OnlineStore) -> None:
        """An empty write is allowed."""
        assert store.put([]) == 0

    def test_older_never_overwrites_newer(self, store: OnlineStore) -> None:
        """By event time, then created time; before 1970 too."""
        newer, older = item("k", 5, "newer"), item("k", -5, "older")
        assert (store.put([newer]), store.put([older])) == (1, 0)
        assert store.put([item("k", 5, "later known", created=9)]) == 1
        assert store.put([item("k", 5, "earlier known", created=8)]) == 0
        assert store.get_many([b"k"]) == [item("k", 5, "later known", created=9)[1]]

    def test_of_equal_ranks_the_last_given_holds(self, store: OnlineStore) -> None:
        """Within one call and over two; so writing again is harmless."""
        assert store.put([item("k", 5, "a"), item("k", 5, "b")]) == 1
        assert store.put([item("k", 5, "c")]) == 1
        assert store.get_many([b"k"]) == [item("k", 5, "c")[1]]

    def test_order_within_one_call_does_not_matter(self, store: OnlineStore) -> None:
        """The greatest rank wins wherever it stands."""
        assert store.put([item("k", 1), item("k", 3, "x"), item("k", 2)]) == 1
        assert store.get_many([b"k"]) == [item("k", 3, "x")[1]]

    def test_it_holds_what_a_dictionary_would(self, store: OnlineStore) -> None:
        """Random batches against a dictionary with the same rule."""
        batch = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-2, 5), st.text(max_size=3)), max_size=5)

        @settings(max_examples=50, deadline=None)
        @given(st.lists(batch, max_size=6))
        def check(batches: list[list[tuple[str, int, str]]]) -> None:
            store.drop(b"")
            model: dict[bytes, bytes] = {}
            for items in ([item(*one) for one in batch] for batch in batches):
                store.put(items)
                for key, value in items:
                    if key not in model or model[key][:16] <= value[:16]:
                        model[key] = value
            assert store.get_many([b"a", b"b", b"c"]) == [model.get(key) for key in (b"a", b"b", b"c")]
            assert store.count() == len(model)

        check()

    def test_count_and_drop_take_a_prefix(self, store: OnlineStore) -> None:
        """Neighbours of the prefix stay."""
        store.put([item(key, 1) for key in ("a", "b", "b1", "b2", "c")])
        assert (store.count(b"b"), store.count(), store.count(b"x")) == (3, 5, 0)
        assert (store.drop(b"b"), store.drop(b"b"), store.count()) == (3, 0, 2)

    def test_keys_may_be_long_and_values_large(self, store: OnlineStore) -> None:
        """500 bytes of key, 100 kB of value, zero bytes in both."""
        key, value = b"\0k" * 250, rank(1, 1) + bytes(100_000)
        store.put([(key, value)])
        assert store.get_many([key]) == [value]

    def test_values_outlive_the_handle(self, open_store: OpenStore) -> None:
        """Closed and opened again."""
        with open_store() as first:
            first.put([item("k", 1, "x")])
        with open_store() as second:
            assert second.get_many([b"k"]) == [item("k", 1, "x")[1]]

    def test_two_handles_of_one_process_see_each_other(self, store: OnlineStore, open_store: OpenStore) -> None:
        """Closing one leaves the other alone."""
        with open_store() as other:
            other.put([item("k", 1, "x")])
            other.sync()
        assert store.get_many([b"k"]) == [item("k", 1, "x")[1]]

    def test_a_closed_store_says_so(self, open_store: OpenStore) -> None:
        """Closing twice is harmless, using it is an error."""
        store = open_store()
        store.close()
        store.close()
        for use in (lambda: store.get_many([b"k"]), lambda: store.put([item("k", 1)]), store.count, store.sync):
            with pytest.raises(StorageError, match="closed"):
                use()

    def test_a_pickled_handle_opens_the_same_store(self, store: OnlineStore) -> None:
        """As it happens on the way to a Ray worker."""
        store.put([item("k", 1, "x")])
        with pickle.loads(pickle.dumps(store)) as copy:
            assert copy.get_many([b"k"]) == store.get_many([b"k"])

    def test_threads_of_a_process_share_it(self, store: OnlineStore) -> None:
        """Eight writers race for the same keys; the newest value of each stays."""

        def write(thread: int) -> None:
            for event in range(50):
                store.put([item(f"k{event % 7}", event * 8 + thread, f"{event * 8 + thread}")])
                store.get_many([b"k0", b"k1"])

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        newest = [max(e * 8 + 7 for e in range(50) if e % 7 == k) for k in range(7)]
        assert store.get_many([f"k{k}".encode() for k in range(7)]) == [item("", e, f"{e}")[1] for e in newest]

    def test_a_reader_in_another_process_sees_each_write_at_once_and_whole(
        self, store: OnlineStore, open_store: OpenStore
    ) -> None:
        """Two keys are always written together; the other process must never see them differ, nor go back."""
        keys = [b"left", b"right"]
        store.put(_pair(0))
        with _reader(open_store) as ask:
            for event in range(1, 200):
                store.put(_pair(event))
                assert ask(keys) == [_pair(event)[0][1], _pair(event)[1][1]]

    def test_a_reader_in_another_process_follows_while_the_store_grows(
        self, store: OnlineStore, open_store: OpenStore
    ) -> None:
        """100 MB arrive while the other process keeps its handle."""
        with _reader(open_store) as ask:
            for batch in range(25):
                value = f"{batch}" * 10
                store.put([(f"{batch}-{n}".encode(), rank(1, 1) + value.encode() + bytes(4000)) for n in range(1000)])
                found = ask([f"{batch}-999".encode()])
                assert found[0] is not None and found[0][16:].startswith(value.encode())


def _pair(event: int) -> list[tuple[bytes, bytes]]:
    return [item("left", event, "x" * 300), item("right", event, "x" * 300)]


class _reader:  # noqa: N801  (a context manager, used like a function)
    """Asks a second process, started afresh, to read."""

    def __init__(self, open_store: OpenStore) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve_reads, args=(there, open_store), daemon=True)

    def __enter__(self) -> Callable[[list[bytes]], list[bytes | None]]:
        self._process.start()
        return self._ask

    def __exit__(self, *_: object) -> None:
        self._here.send(None)
        self._process.join(30)

    def _ask(self, keys: list[bytes]) -> list[bytes | None]:
        self._here.send(keys)
        if not self._here.poll(60):
            raise TimeoutError("the reading process gave no answer within 60 s")
        answer: list[bytes | None] = self._here.recv()
        return answer


def serve_reads(connection: Connection, open_store: OpenStore) -> None:
    """Answer look-ups until None comes (the other process of the suite)."""
    with open_store() as store:
        while (keys := connection.recv()) is not None:
            connection.send(store.get_many(keys))
