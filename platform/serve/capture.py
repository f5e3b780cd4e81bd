"""Capture of requests and answers to a Delta table, off the request path.

A replica appends what it answered to a list in memory; a thread of its own turns the list into one Arrow table
and one Delta commit per flush. Each commit carries the transaction ``(replica, sequence)``: a flush that failed
half-way is tried again with the same number, so that rows are written exactly once however often it is tried.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import pyarrow as pa

from ..core import ConfigError, RaylakeError
from .predictor import Predictor, Scored
from .values import Capture

INSTANT = pa.timestamp("us", tz="UTC")
HEAD = (
    pa.field("id", pa.string()),
    pa.field("request_id", pa.string()),
    pa.field("at", INSTANT),
    pa.field("received_at", INSTANT),
    pa.field("model", pa.string()),
    pa.field("version", pa.int64()),
)
TAIL = (pa.field("prediction", pa.float64()), pa.field("latency_ms", pa.float64()))
RESERVED = frozenset(column.name for column in (*HEAD, *TAIL))
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)

Writer = Callable[[pa.Table, tuple[str, int]], object]
_log = logging.getLogger("ray.serve")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answered request, as the request path hands it over.

    Attributes:
        scored: What was asked and predicted.
        predictor: The model version that answered.
        request_id: Id of the request.
        received_at: When it came, seconds since 1970.
        latency: Seconds from there to the answer.
    """

    scored: Scored
    predictor: Predictor
    request_id: str
    received_at: float
    latency: float


@dataclass(slots=True)
class CaptureCounts:
    """What a replica's capture did so far.

    Attributes:
        pending: Rows answered and not yet committed.
        written: Rows committed.
        dropped: Rows lost because storage was unwritable for longer than the buffer lasts.
        failures: Flushes that failed (each is tried again).
        commits: Delta commits.
        last_error: Message of the newest failure, or ``""``.
    """

    pending: int = 0
    written: int = 0
    dropped: int = 0
    failures: int = 0
    commits: int = 0
    last_error: str = ""


@dataclass(slots=True)
class CaptureBuffer:
    """Rows on their way to storage. `add` is cheap and never blocks on storage; `run` belongs to one thread.

    Attributes:
        writer: Writes one table under a transaction ``(application, version)``; a repeated one is a no-op.
        settings: How often and how much.
        replica: Unique name of the replica; the transaction's application.
        counts: What happened so far.
    """

    writer: Writer
    settings: Capture
    replica: str
    counts: CaptureCounts = field(default_factory=CaptureCounts)
    _waiting: list[Answered] = field(default_factory=list)
    _inflight: pa.Table | None = None
    _sequence: int = 0
    _deadline: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def add(self, answered: Answered) -> None:
        """Hand over one answered request; dropped and counted when the buffer is full."""
        rows = answered.scored.request.rows
        with self._lock:
            if self.counts.pending + rows > self.settings.buffer_rows:
                self.counts.dropped += rows
                return
            self.counts.pending += rows
            self._waiting.append(answered)

    def flush(self) -> bool:
        """Commit what waits, in one transaction; True unless the write failed. Call from one thread only."""
        if self._inflight is None:
            with self._lock:
                taken, self._waiting = self._waiting, []
            if not taken:
                return True
            self._inflight = to_table(taken)
            self._sequence += 1
        try:
            self.writer(self._inflight, (self.replica, self._sequence))
        except (RaylakeError, OSError, pa.ArrowException) as error:
            self.counts.failures += 1
            self.counts.last_error = f"{type(error).__name__}: {error}"
            _log.error("capture could not be written and will be tried again: %s", self.counts.last_error)
            return False
        rows, self._inflight = self._inflight.num_rows, None
        with self._lock:
            self.counts.pending -= rows
            self.counts.written += rows
            self.counts.commits += 1
        return True

    def run(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Flush every `flush_seconds` until `stop`; wait longer after failures. The body of the capture thread."""
        failed = 0
        while not self._stop.wait(self._pause(failed)):
            failed = 0 if self.flush() else failed + 1
            on_tick()
        self._drain()
        on_tick()

    def stop(self, timeout: float) -> None:
        """Ask `run` to end. It first writes what waits, trying for `timeout` seconds if storage refuses."""
        self._deadline = time.monotonic() + timeout
        self._stop.set()

    def _pause(self, failed: int) -> float:
        retry = _RETRY_SECONDS[min(failed, len(_RETRY_SECONDS)) - 1] if failed else 0.0
        return max(self.settings.flush_seconds, retry)

    def _drain(self) -> None:
        while self.counts.pending:
            if self.flush():
                continue
            if time.monotonic() > self._deadline:
                break
            time.sleep(_RETRY_SECONDS[0])
        if self.counts.pending:
            self.counts.dropped += self.counts.pending
            _log.error("%d captured rows are lost: %s", self.counts.pending, self.counts.last_error)


def to_table(answers: list[Answered]) -> pa.Table:
    """One table of all rows of `answers`; versions with different features are united, absent ones null."""
    parts = [
        _rows(list(members))
        for _, members in groupby(answers, key=lambda answered: (id(answered.predictor), _sent(answered)))
    ]
    return pa.concat_tables(parts, promote_options="permissive")


def capture_schema(predictor: Predictor) -> pa.Schema:
    """Schema of the prediction table for a model.

    Raises:
        ConfigError: An input column has the name of one that capture adds.
    """
    inputs = _input_fields(predictor)
    clash = sorted(RESERVED & {column.name for column in inputs})
    if clash:
        raise ConfigError(
            f"input column {clash[0]!r} of {predictor.name}@{predictor.version} has the name of a column that "
            "capture adds: rename the feature, or deploy with capture=Capture(sample=0)"
        )
    return pa.schema([*HEAD, *inputs, *TAIL])


def _input_fields(predictor: Predictor) -> list[pa.Field]:
    inputs = list(predictor.model.signature.schema)
    known = {column.name for column in inputs}
    asked = predictor.decoder.fields
    return inputs + [pa.field(f.name, f.kind.arrow) for f in asked if f.required and f.name not in known]


def _sent(answered: Answered) -> tuple[str, ...]:
    return tuple(answered.scored.request.columns)


def _rows(answers: list[Answered]) -> pa.Table:
    """Rows of requests of the same fields to the same predictor; built together, because that costs far less."""
    predictor = answers[0].predictor
    counts = np.array([answered.scored.request.rows for answered in answers])
    features = pa.concat_tables([answered.scored.features for answered in answers])
    frame = pa.concat_tables([answered.scored.frame for answered in answers])
    received = pa.array(np.repeat([int(answered.received_at * 1e6) for answered in answers], counts)).cast(INSTANT)
    rows = features.num_rows
    head = [
        pa.array([identity for answered in answers for identity in _ids(answered)], pa.string()),
        pa.array(np.repeat([answered.request_id for answered in answers], counts), pa.string()),
        received if predictor.event_time is None else frame.column(predictor.event_time),
        received,
        pa.repeat(pa.scalar(predictor.name), rows),
        pa.repeat(pa.scalar(predictor.version, pa.int64()), rows),
    ]
    extra = [name for name in frame.column_names if name not in features.column_names]
    tail = [
        pa.array(np.concatenate([answered.scored.scores for answered in answers]), pa.float64()),
        pa.array(np.repeat([answered.latency * 1e3 for answered in answers], counts), pa.float64()),
    ]
    names = [*(f.name for f in HEAD), *features.column_names, *extra, *(f.name for f in TAIL)]
    columns = [*head, *features.itercolumns(), *(frame.column(name) for name in extra), *tail]
    return pa.table(columns, names=names).combine_chunks()


def _ids(answered: Answered) -> Sequence[str]:
    own = answered.scored.request.ids
    return own or [f"{answered.request_id}#{index}" for index in range(answered.scored.request.rows)]
