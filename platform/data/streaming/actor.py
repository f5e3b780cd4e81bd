"""The Ray actor that a continuous source lives in: restarted by Ray when it or its node dies."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.metrics import Counter, Gauge

from ...core import Workspace
from .loop import SourceLoop

_PUBLISH_SECONDS = 2.0


@ray.remote(num_cpus=0.1, max_restarts=-1, max_task_retries=-1)
class SourceActor:
    """Runs one `SourceLoop` in a thread from its first moment on, so that a restarted actor needs nobody's call."""

    def __init__(self, ws: Workspace, name: str) -> None:
        self._loop = SourceLoop(ws, name)
        self._metrics = _Metrics(name)
        self._thread = threading.Thread(target=self._run, name=f"source-{name}", daemon=True)
        self._thread.start()
        threading.Thread(target=self._publish, name="metrics", daemon=True).start()

    def status(self) -> Mapping[str, Any]:
        """As `SourceLoop.status`, with the process id."""
        return {**self._loop.status(), "pid": os.getpid(), "alive": self._thread.is_alive()}

    def stop(self) -> None:
        """Finish the batch that runs, then end."""
        self._loop.stop()
        self._thread.join()

    def _run(self) -> None:
        ended = False
        try:
            self._loop.run()
            ended = True
        finally:
            if not ended:
                # A bug, not a bad source: say so, and let Ray restart the process from a clean state.
                traceback.print_exc(file=sys.stderr)
                os._exit(1)

    def _publish(self) -> None:
        while self._thread.is_alive():
            self._metrics.show(self._loop.status())
            self._thread.join(_PUBLISH_SECONDS)


class _Metrics:
    """What Prometheus sees, per source, through Ray's own exporter."""

    def __init__(self, name: str) -> None:
        tags = ("source",)
        self._gauges = {
            "lag": Gauge("raylake_source_lag_events", "Events that wait at the source.", tags),
            "latency": Gauge("raylake_source_latency_seconds", "From the newest event to its commit.", tags),
            "seconds": Gauge("raylake_source_batch_seconds", "Duration of the last micro-batch.", tags),
        }
        self._rows = Counter("raylake_source_rows", "Rows read.", tags)
        self._failures = Counter("raylake_source_failures", "Micro-batches that failed.", tags)
        self._tags = {"source": name}
        self._seen = {"total_rows": 0, "failures": 0}

    def show(self, status: Mapping[str, Any]) -> None:
        """Publish the newest figures."""
        for key, gauge in self._gauges.items():
            if status.get(key) is not None:
                gauge.set(float(status[key]), self._tags)
        for key, counter in (("total_rows", self._rows), ("failures", self._failures)):
            more = int(status.get(key, 0)) - self._seen[key]
            if more > 0:
                counter.inc(more, self._tags)
                self._seen[key] += more
