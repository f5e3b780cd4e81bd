"""Metrics that workers log while they train, on their way into the run.

Workers write storage, the driver writes the registry: a worker puts what it logged into a small file under
``<root>/runs/fit-<run>/metrics``, at most one a second, and the driver moves what it finds there into the run. Nothing
runs beside the workers for it, and what a worker wrote outlives it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow.fs as pafs

from ..core import ConfigError, Workspace, urls
from ..registry import MetricWriter

_EVERY_SECONDS = 1.0
_CURRENT: ContextVar[MetricLog | None] = ContextVar("raylake_metric_log", default=None)


def log(step: int, **metrics: float) -> None:
    """Log metrics of a step from inside a training worker; they appear in the run within about two seconds.

    Of a group the first worker's values are recorded, the others' are not.

    Args:
        step: Number of the step, such as a batch or an epoch.
        metrics: Values by name.

    Raises:
        ConfigError: No fit runs in this thread.

    Example:
        >>> log(1, loss=0.5)
        Traceback (most recent call last):
        ...
        raylake.core.errors.ConfigError: train.log works inside a training loop, and none runs here: use ...
    """
    current = _CURRENT.get()
    if current is None:
        raise ConfigError(
            "train.log works inside a training loop, and none runs here: use registry.log_metrics with a run's id"
        )
    current.add(step, metrics)


def log_if_training(step: int, metrics: Mapping[str, float]) -> None:
    """As `log`, for code that also runs outside a fit, such as in a trial of a study."""
    current = _CURRENT.get()
    if current is not None:
        current.add(step, metrics)


class MetricLog:
    """What a worker has logged and not yet written. Safe in threads.

    Args:
        ws: The workspace.
        run: Id of the run.
        records: Whether this worker's values are recorded.
    """

    def __init__(self, ws: Workspace, run: str, records: bool = True) -> None:
        self._url, self._records = _url(ws, run), records
        self._attempt, self._number, self._written = uuid4().hex[:8], 0, time.monotonic()
        self._waiting: list[Any] = []
        self._lock = threading.Lock()

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep values; write all that wait when the last write is a second ago."""
        if not self._records:
            return
        with self._lock:
            self._waiting.append([step, time.time(), {name: float(value) for name, value in metrics.items()}])
            if time.monotonic() > self._written + _EVERY_SECONDS:
                self._write()

    def flush(self) -> None:
        """Write all that wait."""
        with self._lock:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        store, path = urls.writable_folder(self._url)
        self._number += 1
        name = f"{path}/{self._attempt}-{self._number:08d}"
        with store.open_output_stream(f"{name}.part") as stream:
            stream.write(json.dumps(self._waiting).encode())
        store.move(f"{name}.part", f"{name}.json")
        self._waiting, self._written = [], time.monotonic()


@contextmanager
def logging_to(ws: Workspace, run: str, records: bool = True) -> Iterator[MetricLog]:
    """Within the block `log` in this thread goes to the run."""
    found = MetricLog(ws, run, records)
    token = _CURRENT.set(found)
    try:
        yield found
    finally:
        _CURRENT.reset(token)
        found.flush()


class Follower:
    """The driver's thread that moves what workers logged into the run."""

    def __init__(self, ws: Workspace, run: str) -> None:
        self._store, self._path = urls.filesystem(_url(ws, run))
        self._writer = MetricWriter(ws, run)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="raylake-metrics", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._move()
        self._writer.close()

    def _follow(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            self._move()

    def _move(self) -> None:
        selector = pafs.FileSelector(self._path, allow_not_found=True)
        found = [entry.path for entry in self._store.get_file_info(selector) if entry.path.endswith(".json")]
        for path in sorted(found):
            with self._store.open_input_stream(path) as stream:
                points = json.loads(stream.read())
            for step, at, metrics in points:
                self._writer.log(metrics, step, datetime.fromtimestamp(at, UTC))
            self._store.delete_file(path)


def _url(ws: Workspace, run: str) -> str:
    return urls.join(ws.runs_url, f"fit-{run}", "metrics")
