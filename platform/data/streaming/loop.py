"""One source's own pipeline: micro-batch after micro-batch, each exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ... import registry
from ...core import Node, NotFound, RaylakeError, Workspace, duration
from ...registry import TableVersion
from ..connector import StreamConnector
from ..definitions import source_from_plain
from ..ingest import ingest, last_facts
from ..source import Source

_EVERY = "1s"
_LONGEST_WAIT = 60.0
# A source says that it is alive this often at most, so that many quick sources do not crowd the registry.
_REPORT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one micro-batch did.

    Attributes:
        version: The table's version after it, or ``None`` while nothing ever came.
        rows: Rows that were read.
        seconds: How long it took.
        lag: Events still waiting at the source; 0 for sources that cannot tell.
        latency: Seconds from the newest event's time to its commit, or ``None`` without event time.
    """

    version: TableVersion | None
    rows: int
    seconds: float
    lag: int
    latency: float | None


def run_once(ws: Workspace, source: Source) -> Step:
    """Ingest what is there now, and tell the server up to where.

    Raises:
        RaylakeError: As `raylake.data.ingest`.

    Example:
        >>> import tempfile, pathlib
        >>> from raylake.data import Csv
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.csv").write_text("id\\n1\\n2\\n")
        >>> step = run_once(Workspace.open(folder / "lake"), Source("trips", Csv(f"{folder}/*.csv")))
        >>> str(step.version), step.rows, step.lag
        ('trips@1', 2, 0)
    """
    started = time.perf_counter()
    before = last_facts(ws, source)
    if not before and not source.connector.plan(None)[0]:
        # A stream without events has no schema to discover yet.
        return Step(None, 0, time.perf_counter() - started, 0, None)
    version = ingest(ws, source)
    facts = last_facts(ws, source)
    fresh = facts.get("cursor") != before.get("cursor")
    lag = 0
    if isinstance(source.connector, StreamConnector):
        if fresh:
            source.connector.acknowledge(facts["cursor"])
        lag = source.connector.lag(facts["cursor"])
    latency = None
    if fresh and facts.get("watermark") is not None:
        latency = (datetime.now(UTC) - datetime.fromisoformat(facts["watermark"])).total_seconds()
    rows = int(version.metrics.get("rows_read", 0)) if fresh else 0
    return Step(version, rows, time.perf_counter() - started, lag, latency)


class SourceLoop:
    """Runs a configured source until it is removed or `stop` is called; looks at its definition before every batch.

    Memory is bounded: a batch takes at most the connector's `max_events`, and the next begins when it is committed;
    what does not fit waits at the source, which is the back-pressure. Errors of a source (a server that is down, a
    file that is broken) are noted in the registry, alerted once, and tried again with growing pauses.

    One thread runs it; `status` and `stop` may be called from others.
    """

    def __init__(self, ws: Workspace, name: str) -> None:
        self.ws = ws
        self.name = name
        self._stop = threading.Event()
        self._state: dict[str, Any] = {"state": "starting", "batches": 0, "rows": 0, "failures": 0, "error": ""}
        self._reported = 0.0
        self._failures = 0

    def stop(self) -> None:
        """Finish the batch that runs, then end."""
        self._stop.set()

    def status(self) -> Mapping[str, Any]:
        """State, batches, rows, failures, error, and lag, latency and seconds of the last batch."""
        return dict(self._state)

    def run(self) -> None:
        """Go on until the end."""
        while not self._stop.is_set():
            wait = self.turn()
            if wait is None:
                break
            self._stop.wait(wait)
        self._state["state"] = "stopped"

    def turn(self) -> float | None:
        """One look at the definition and one batch; returns seconds to wait, or ``None`` when the source is gone."""
        try:
            record = registry.source_record(self.ws, self.name)
            if record.status != "active":
                self._state["state"] = record.status
                return 0.5
            source = source_from_plain(record.definition)
            step = run_once(self.ws, source)
        except NotFound as error:
            if f"source {self.name!r} is not configured" in str(error):
                return None
            return self._failed(error)
        except RaylakeError as error:
            return self._failed(error)
        self._succeeded(step)
        # A backlog is read without pause.
        return 0.0 if step.rows and step.lag else duration(source.every or _EVERY).total_seconds()

    def _succeeded(self, step: Step) -> None:
        state = self._state
        figures = asdict(step)
        version = figures.pop("version")
        state.update(state="running", error="", version=version and str(step.version), **figures)
        state["batches"] += 1 if step.rows else 0
        state["total_rows"] = state.get("total_rows", 0) + step.rows
        recovered, self._failures = self._failures > 0, 0
        if recovered or time.monotonic() - self._reported > _REPORT_SECONDS:
            self._report("")

    def _failed(self, error: RaylakeError) -> float:
        self._failures += 1
        self._state.update(state="failing", error=str(error), failures=self._state["failures"] + 1)
        if self._failures == 1:
            self._alert(error)
        self._report(f"{type(error).__name__}: {error}")
        return min(_LONGEST_WAIT, 2.0 ** min(self._failures - 1, 10))

    def _alert(self, error: RaylakeError) -> None:
        try:
            registry.record_alert(
                self.ws, severity="error", subject=Node("source", self.name), message=str(error), evidence={}
            )
        except RaylakeError:
            # The registry itself is down: that is what failed, and the status says so.
            return

    def _report(self, error: str) -> None:
        try:
            registry.record_source_run(self.ws, self.name, error=error)
            self._reported = time.monotonic()
        except RaylakeError:
            return
