"""The Serve deployment class of an endpoint: one process that holds a model and answers HTTP requests."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa

from .. import data
from ..core import DeploymentFailed, Ref, Workspace
from ..features import FeatureReader, open_online
from ..registry import ModelVersion, model_version
from ..train import open_model
from .app import Application
from .capture import Answered, CaptureBuffer
from .decoder import MAX_ROWS
from .metrics import ReplicaMetrics
from .predictor import Predictor
from .values import PREDICTIONS, Capture
from .watcher import POLL_SECONDS, Watcher

# Less than Serve's own deadline for a graceful stop, so that the last flush is not cut off.
FLUSH_ON_STOP = timedelta(seconds=10)


class Replica:
    """Holds the model in place, follows the target's alias and captures what was answered.

    Serve builds it in a process of its own; tests build it directly. Close it with `close`.
    """

    def __init__(self, ws: Workspace, endpoint: str, target: str, capture: Capture, max_rows: int = MAX_ROWS) -> None:
        """Load the model that `target` names, predict once for real, and start the two background threads.

        Raises:
            NotFound, ArtifactCorrupt, ConfigError, DeploymentFailed: The model cannot answer.
        """
        self.endpoint, self.target, self.sample = endpoint, target, capture.sample
        self.id = uuid4().hex[:16]
        self._store = open_online(ws)
        wanted = model_version(ws, target)
        load = loader(ws, self._store, max_rows)
        self._predictor = load(wanted)
        self._predictor.check()
        self._metrics = ReplicaMetrics(endpoint)
        self._capture = CaptureBuffer(capture_writer(ws, endpoint), capture, self.id)
        self._watcher = Watcher(lambda: model_version(ws, target), load, self._swap, wanted.version)
        self._watcher.every = POLL_SECONDS * random.uniform(0.8, 1.2)
        self._threads = [threading.Thread(target=self._capture.run, args=(self._tick,), name="capture", daemon=True)]
        if Ref.parse(target).version is None:
            self._threads.append(threading.Thread(target=self._watcher.run, name="watcher", daemon=True))
        self._closed = False
        for thread in self._threads:
            thread.start()

    @property
    def predictor(self) -> Predictor:
        """The model in place."""
        return self._predictor

    def captured(self, answered: Answered) -> None:
        """Queue an answered request for the prediction table."""
        self._capture.add(answered)

    def observed(self, seconds: float, status: int) -> None:
        """Count an answer for the metrics."""
        self._metrics.observe(seconds, status)

    def describe(self) -> dict[str, Any]:
        """What ``GET /models/<endpoint>`` answers."""
        predictor, counts = self._predictor, self._capture.counts
        return {
            "name": self.endpoint,
            "model": predictor.name,
            "version": predictor.version,
            "target": self.target,
            "signature": predictor.model.signature.to_dict(),
            "fields": [
                {"name": f.name, "type": f.kind.name, "required": f.required, "nullable": f.nullable, "role": f.role}
                for f in predictor.decoder.fields
            ],
            "replica": self.id,
            "problem": self._watcher.problem or None,
            "capture": {
                "sample": self.sample,
                "pending": counts.pending,
                "written": counts.written,
                "dropped": counts.dropped,
                "failures": counts.failures,
                "commits": counts.commits,
                "last_error": counts.last_error or None,
            },
        }

    def check_health(self) -> None:
        """Predict for real; Serve replaces the replica when this raises."""
        for thread in self._threads:
            if not thread.is_alive() and not self._closed:
                raise DeploymentFailed(f"the {thread.name} thread of replica {self.id} has ended")
        self._predictor.check()

    def close(self) -> None:
        """Stop the threads; captured rows are flushed first. Calling it again does nothing."""
        if getattr(self, "_closed", True):
            return
        self._closed = True
        self._watcher.stop()
        self._capture.stop(FLUSH_ON_STOP.total_seconds())
        deadline = time.monotonic() + FLUSH_ON_STOP.total_seconds() + 5
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._store.close()

    def __serve_build_asgi_app__(self) -> Application:
        """Called by Serve after `__init__`."""
        return Application(self)

    def __del__(self) -> None:
        """Serve calls this when a replica stops gracefully."""
        self.close()

    def _swap(self, fresh: Predictor) -> None:
        self._predictor = fresh

    def _tick(self) -> None:
        self._metrics.export(self._capture.counts)


def loader(ws: Workspace, store: Any, max_rows: int = MAX_ROWS) -> Callable[[ModelVersion], Predictor]:
    """A function that loads a model version into a `Predictor` whose features come from `store`."""

    def load(wanted: ModelVersion) -> Predictor:
        model = open_model(ws, wanted)
        found = model.feature_set
        reader = None if found is None else FeatureReader(store, found)
        return Predictor(model, reader, wanted.name, wanted.version, max_rows=max_rows)

    return load


def capture_writer(ws: Workspace, endpoint: str) -> Callable[[pa.Table, tuple[str, int]], object]:
    """A function that appends rows to the endpoint's prediction table, once per transaction."""

    def write(rows: pa.Table, transaction: tuple[str, int]) -> object:
        return data.write(
            ws,
            f"{PREDICTIONS}.{endpoint}",
            rows,
            app=transaction,
            operation="capture",
            schema_mode="evolve",
            record=False,
        )

    return write
