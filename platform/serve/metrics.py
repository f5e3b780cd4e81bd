"""Prometheus metrics of a replica, exported by a background thread so that a request only appends to a list."""

from __future__ import annotations

from collections import Counter as Tally

from .capture import CaptureCounts

BOUNDARIES = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]


class ReplicaMetrics:
    """``raylake_requests_total``, ``raylake_request_seconds``, ``raylake_capture_*`` on Ray's metrics port."""

    def __init__(self, endpoint: str) -> None:
        """Declare the metrics of `endpoint`."""
        from ray.util.metrics import Counter, Gauge, Histogram

        tags = {"endpoint": endpoint}
        names = ("endpoint",)
        self._requests = Counter("raylake_requests_total", "Answers by status", ("endpoint", "status"))
        self._seconds = Histogram("raylake_request_seconds", "Time of an answer", BOUNDARIES, names)
        self._pending = Gauge("raylake_capture_pending", "Rows answered and not yet written", names)
        self._written = Counter("raylake_capture_written_total", "Captured rows written", names)
        self._dropped = Counter("raylake_capture_dropped_total", "Captured rows lost", names)
        self._failures = Counter("raylake_capture_failures_total", "Flushes that failed and were tried again", names)
        for metric in (
            self._requests,
            self._seconds,
            self._pending,
            self._written,
            self._dropped,
            self._failures,
        ):
            metric.set_default_tags(tags)
        self._answers: list[tuple[float, int]] = []
        self._reported = CaptureCounts()

    def observe(self, seconds: float, status: int) -> None:
        """Note one answer; cheap."""
        self._answers.append((seconds, status))

    def export(self, counts: CaptureCounts) -> None:
        """Hand what was noted since the last call to Ray. Call from one thread only."""
        answers, self._answers = self._answers, []
        for status, number in Tally(status for _, status in answers).items():
            self._requests.inc(number, {"status": str(status)})
        for seconds, _ in answers:
            self._seconds.observe(seconds)
        self._pending.set(counts.pending)
        before = self._reported
        for counter, rise in (
            (self._written, counts.written - before.written),
            (self._dropped, counts.dropped - before.dropped),
            (self._failures, counts.failures - before.failures),
        ):
            if rise:
                counter.inc(rise)
        self._reported = CaptureCounts(0, counts.written, counts.dropped, counts.failures)
