"""The capture buffer: every answered row once, through failures, a full disk and a stop."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_models import ROW, StandIn

from raylake.core import ConfigError, StorageError
from raylake.serve.capture import Answered, CaptureBuffer, capture_schema, to_table
from raylake.serve.decoder import Request
from raylake.serve.predictor import Predictor
from raylake.serve.values import Capture

PREDICTOR = Predictor(StandIn(), None, "delay", 3)


@dataclass
class Disk:
    """Stands in for a Delta table: refuses repeated transactions silently, fails when it is told to."""

    failures: list[str] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)

    def write(self, rows: pa.Table, transaction: tuple[str, int]) -> None:
        how = self.failures.pop(0) if self.failures else "fine"
        if how == "before":
            raise StorageError("no space left on device")
        if transaction not in self.seen:
            self.seen.add(transaction)
            self.rows.append(rows)
        if how == "after":
            raise StorageError("the answer was lost, the commit was not")

    @property
    def ids(self) -> list[str]:
        return [name for table in self.rows for name in table["id"].to_pylist()]


def answered(request_id: str, rows: int = 1, predictor: Predictor = PREDICTOR, **more: object) -> Answered:
    columns = {name: [value] * rows for name, value in ROW.items() if name in predictor.model.schema.names}
    request = Request(columns, rows, **more)  # type: ignore[arg-type]
    return Answered(predictor.predict([request])[0], predictor, request_id, 1_700_000_000.25, 0.0015)


def test_a_captured_row_says_what_was_asked_answered_when_and_by_whom() -> None:
    table = to_table([answered("r1", 2), answered("r2", ids=("mine",))])
    assert table.schema == capture_schema(PREDICTOR)
    assert table["id"].to_pylist() == ["r1#0", "r1#1", "mine"]
    row = table.to_pylist()[0]
    assert row["request_id"] == "r1" and row["model"] == "delay" and row["version"] == 3
    assert row["prediction"] == 1400.0 and row["latency_ms"] == pytest.approx(1.5)
    assert row["at"] == row["received_at"] and row["received_at"].timestamp() == 1_700_000_000.25
    assert {name: row[name] for name in ROW} == ROW


def test_versions_with_other_features_share_a_table() -> None:
    narrow = StandIn(schema=pa.schema([("distance", pa.float64()), ("seats", pa.int64())]))
    table = to_table([answered("a", predictor=Predictor(narrow, None, "delay", 3)), answered("b")])
    assert table["id"].to_pylist() == ["a#0", "b#0"]
    assert table["origin"].to_pylist() == [None, "JFK"]


def test_a_feature_called_like_a_capture_column_is_refused_before_deploying() -> None:
    clash = StandIn(schema=pa.schema([("distance", pa.float64()), ("model", pa.string())]))
    with pytest.raises(ConfigError, match="input column 'model' of delay@1"):
        capture_schema(Predictor(clash, None, "delay", 1))


@given(st.lists(st.sampled_from(["fine", "before", "after"]), max_size=12), st.integers(1, 8))
def test_every_row_is_written_once_whatever_fails(failures: list[str], requests: int) -> None:
    disk = Disk([*failures])
    buffer = CaptureBuffer(disk.write, Capture(), "replica")
    for number in range(requests):
        buffer.add(answered(f"r{number}", rows=number % 3 + 1))
        buffer.flush()
    while not buffer.flush() or buffer.counts.pending:
        pass
    expected = [f"r{number}#{row}" for number in range(requests) for row in range(number % 3 + 1)]
    assert disk.ids == expected
    assert buffer.counts.written == len(expected) and buffer.counts.dropped == 0
    assert buffer.counts.failures <= len([how for how in failures if how != "fine"])


def test_a_full_disk_drops_only_what_the_buffer_cannot_hold_and_counts_it() -> None:
    disk = Disk(["before"] * 3)
    buffer = CaptureBuffer(disk.write, Capture(buffer_rows=5), "replica")
    for number in range(4):
        buffer.add(answered(f"r{number}", rows=2))
        assert buffer.flush() == (number == 3)
    assert buffer.counts.dropped == 4 and "no space left" in buffer.counts.last_error
    assert buffer.flush()
    assert disk.ids == ["r0#0", "r0#1", "r1#0", "r1#1"] and buffer.counts.pending == 0


def test_stopping_flushes_and_retries_before_it_gives_up() -> None:
    disk = Disk(["before"])
    buffer = CaptureBuffer(disk.write, Capture(flush_seconds=3600), "replica")
    thread = threading.Thread(target=buffer.run)
    thread.start()
    buffer.add(answered("r1"))
    buffer.stop(timeout=30)
    thread.join(30)
    assert not thread.is_alive() and disk.ids == ["r1#0"]


def test_rows_that_cannot_be_written_at_the_end_are_counted_as_lost() -> None:
    disk = Disk(["before"] * 100)
    buffer = CaptureBuffer(disk.write, Capture(flush_seconds=3600), "replica")
    thread = threading.Thread(target=buffer.run)
    thread.start()
    buffer.add(answered("r1", rows=7))
    buffer.stop(timeout=0)
    thread.join(30)
    assert buffer.counts.dropped == 7 and disk.ids == []


def test_many_threads_add_while_one_flushes() -> None:
    disk = Disk()
    buffer = CaptureBuffer(disk.write, Capture(flush_seconds=0.005), "replica")
    runner = threading.Thread(target=buffer.run)
    runner.start()
    one = answered("x")

    def add(name: int) -> None:
        for number in range(200):
            buffer.add(Answered(one.scored, PREDICTOR, f"{name}-{number}", time.time(), 0.0))

    threads = [threading.Thread(target=add, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    buffer.stop(timeout=30)
    runner.join(30)
    assert sorted(disk.ids) == sorted(f"{name}-{number}#0" for name in range(4) for number in range(200))
    assert buffer.counts.commits == len(disk.rows) < 800
