"""The second half of the year: each month is replayed, judged, and perhaps answered with a better model.

Labels arrive a month late: when a month has been replayed, the outcomes of the month before become known. What was
done is kept as an event per month, so that a story that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from .. import features, monitor, registry, serve, train
from ..core import Workspace
from ..flights import LATE_ARRIVAL
from .client import ReplayClient
from .display import Display
from .months import JUDGED, REPLAYED, labels_arrive, month_of, replay_month, store_judged, stored
from .options import ENDPOINT, MONTHS, Options, month_label, month_start
from .result import Month


class Year:
    """Replays and judges month by month against one endpoint."""

    def __init__(
        self,
        ws: Workspace,
        endpoint: serve.Endpoint,
        policy: monitor.Policy,
        renderer: monitor.Renderer,
        options: Options,
        display: Display,
    ) -> None:
        self._ws, self._endpoint, self._policy, self._renderer = ws, endpoint, policy, renderer
        self._options, self._display = options, display
        self._rendering: list[Future[registry.DriftReport]] = []

    def run(self, views: dict[str, registry.TableVersion]) -> None:
        """Replay and judge every month that has not been yet."""
        feed = features.Materialiser(self._ws, LATE_ARRIVAL, views)
        client = ReplayClient(f"{self._endpoint.url}/models/{ENDPOINT}/predict", self._options.connections)
        try:
            for month in MONTHS:
                self._replay(month, client, feed)
                self._judge(month)
        finally:
            client.close()
            feed.close()

    def _replay(self, month: int, client: ReplayClient, feed: features.Materialiser) -> None:
        with ExitStack() as stack:

            def counting(total: int) -> Callable[[int], None]:
                return stack.enter_context(self._display.month(month_label(month), total))

            replay_month(self._ws, month, self._options, client, feed, counting)

    def _judge(self, month: int) -> None:
        label, known = month_label(month), stored(self._ws, JUDGED, month)
        if known:
            with self._display.stage(label) as tell:
                tell(f"done before: {known['decision']}")
            return
        now = month_start(month + 1)
        with self._display.stage(label, "drift, labels, perhaps a challenger") as tell:
            tell(_told(stored(self._ws, REPLAYED, month)))
            if month > MONTHS[0]:
                labels_arrive(self._ws, month - 1, self._options, known_at=now)
            window = self._options.window(month)
            outcome = monitor.step(self._ws, ENDPOINT, self._policy, now=now, window=window, renderer=self._renderer)
            tell(outcome.sentence)
        if outcome.reporting is not None:
            self._rendering.append(outcome.reporting)
        if outcome.promoted is not None:
            serve.wait_for_version(self._endpoint, outcome.promoted.version)
        drift = (outcome.drift.share, outcome.drift.drifted) if outcome.drift else None
        store_judged(self._ws, month, drift, outcome.promoted, outcome.sentence)

    def close(self) -> None:
        """The outcomes of December arrive in January, after the last request; reports are rendered to the end."""
        for report in self._rendering:
            report.result()
        labels_arrive(self._ws, MONTHS[-1], self._options, known_at=datetime(2014, 2, 1, tzinfo=UTC))

    def months(self) -> tuple[Month, ...]:
        """The months, from what was stored and from the labels that have arrived."""
        first = train.open_model(self._ws, f"{ENDPOINT}@1")
        return tuple(month_of(self._ws, month, self._options, first) for month in MONTHS)


def _told(traffic: dict[str, Any]) -> str:
    """A month's traffic in words."""
    times = f", p50 {traffic['p50_ms']:.1f} ms, p99 {traffic['p99_ms']:.1f} ms" if traffic["requests"] else ""
    failed = f", {traffic['failed']:,} failed: {traffic['first_failure']}" if traffic["failed"] else ""
    return f"{traffic['rows']:,} flights asked about in {traffic['requests']:,} requests{times}{failed}"
