"""The second half of the year: each month is replayed, judged, and perhaps answered with a better model.

Labels arrive a month late: when a month has been replayed, the outcomes of the month before become known. What was
done is kept as an event per month, so that a story that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import data, features, monitor, registry, serve, train
from ..core import Node, Workspace
from ..flights import LATE_ARRIVAL
from .client import ReplayClient
from .display import Display
from .options import ENDPOINT, MONTHS, Options, month_label, month_start, month_window
from .replay import Traffic, replay
from .result import Month
from .stages import flights_between

REPLAYED, JUDGED = "demo.month-replayed", "demo.month-judged"
PREDICTIONS = f"predictions.{ENDPOINT}"
CAPTURE_TIMEOUT = 60.0


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

    def _window(self, month: int) -> tuple[datetime, datetime]:
        return month_window(month, days=3 if self._options.fast else None)

    def _replay(self, month: int, client: ReplayClient, feed: features.Materialiser) -> None:
        if _stored(self._ws, REPLAYED, month):
            return
        window = self._window(month)
        flights = flights_between(self._ws, *window)
        missing = _without(flights, captured_ids(self._ws, window))
        before = len(captured_ids(self._ws))
        with self._display.month(month_label(month), flights.num_rows) as count:
            count(flights.num_rows - missing.num_rows)
            traffic = replay(client, missing, feed, count)
        if traffic.rows and not traffic.failed:
            serve.wait_captured(self._ws, ENDPOINT, before + missing.num_rows, timeout=CAPTURE_TIMEOUT)
        _store(self._ws, REPLAYED, month, _plain(traffic))

    def _judge(self, month: int) -> None:
        label, known = month_label(month), _stored(self._ws, JUDGED, month)
        if known:
            with self._display.stage(label) as tell:
                tell(f"done before: {known['decision']}")
            return
        now = month_start(month + 1)
        with self._display.stage(label, "drift, labels, perhaps a challenger") as tell:
            tell(_told(_stored(self._ws, REPLAYED, month)))
            if month > MONTHS[0]:
                self._labels_arrive(month - 1, known_at=now)
            outcome = monitor.step(
                self._ws, ENDPOINT, self._policy, now=now, window=self._window(month), renderer=self._renderer
            )
            tell(outcome.sentence)
        if outcome.reporting is not None:
            self._rendering.append(outcome.reporting)
        if outcome.promoted is not None:
            serve.wait_for_version(self._endpoint, outcome.promoted.version)
        judged = {
            "drift_share": outcome.drift.share if outcome.drift else None,
            "drifted": list(outcome.drift.drifted) if outcome.drift else [],
            "promoted": outcome.promoted.version if outcome.promoted else None,
            "decision": outcome.sentence,
        }
        _store(self._ws, JUDGED, month, judged)

    def _labels_arrive(self, month: int, known_at: datetime) -> None:
        flights = flights_between(self._ws, *self._window(month))
        landed = flights.filter(pc.is_valid(flights["late"]))
        moment = pa.array([known_at] * landed.num_rows, pa.timestamp("us", tz="UTC"))
        labels = pa.table({"id": landed["flight_id"], "label": landed["late"], "known_at": moment})
        monitor.add_labels(self._ws, ENDPOINT, labels)

    def close(self) -> None:
        """The outcomes of December arrive in January, after the last request; reports are rendered to the end."""
        for report in self._rendering:
            report.result()
        self._labels_arrive(MONTHS[-1], known_at=datetime(2014, 2, 1, tzinfo=UTC))

    def months(self) -> tuple[Month, ...]:
        """The months, from what was stored and from the labels that have arrived."""
        first = train.open_model(self._ws, f"{ENDPOINT}@1")
        return tuple(self._month(month, first) for month in MONTHS)

    def _month(self, month: int, first: train.LoadedModel) -> Month:
        traffic, judged = _stored(self._ws, REPLAYED, month), _stored(self._ws, JUDGED, month)
        scored = monitor.scored(self._ws, ENDPOINT, self._window(month))
        labels = scored["label"].to_numpy()
        never = first.predict(scored) if scored.num_rows else np.array([])
        return Month(
            month=month_label(month),
            requests=traffic["requests"],
            failed=traffic["failed"],
            p50_ms=_number(traffic["p50_ms"]),
            p99_ms=_number(traffic["p99_ms"]),
            drift_share=_number(judged["drift_share"]),
            drifted=tuple(judged["drifted"]),
            auc=train.evaluate(scored["prediction"].to_numpy(), labels)["auc"],
            auc_never_retrained=train.evaluate(never, labels)["auc"],
            promoted=judged["promoted"],
            decision=judged["decision"],
        )


def captured_ids(ws: Workspace, window: tuple[datetime, datetime] | None = None) -> pa.ChunkedArray:
    """Ids in the prediction log, or those whose request time lies in the window."""
    if not data.exists(ws, PREDICTIONS):
        return pa.chunked_array([], pa.string())
    return data.table(ws, PREDICTIONS, columns=["id"], filter=window and _within(window))["id"]


def _within(window: tuple[datetime, datetime]) -> pc.Expression:
    start, end = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in window)
    return (pc.field("at") >= start) & (pc.field("at") < end)


def _without(flights: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    return flights.filter(pc.invert(pc.is_in(flights["flight_id"], ids)))


def _stored(ws: Workspace, kind: str, month: int) -> dict[str, Any]:
    name = month_label(month)
    found = [event.payload for event in registry.events(ws, kind=kind) if event.payload["month"] == name]
    return found[-1] if found else {}


def _store(ws: Workspace, kind: str, month: int, payload: dict[str, Any]) -> None:
    registry.record_event(ws, kind, Node("endpoint", ENDPOINT), {"month": month_label(month), **payload})


def _told(traffic: dict[str, Any]) -> str:
    """A month's traffic in words."""
    times = f", p50 {traffic['p50_ms']:.1f} ms, p99 {traffic['p99_ms']:.1f} ms" if traffic["requests"] else ""
    failed = f", {traffic['failed']:,} failed: {traffic['first_failure']}" if traffic["failed"] else ""
    return f"{traffic['rows']:,} flights asked about in {traffic['requests']:,} requests{times}{failed}"


def _plain(traffic: Traffic) -> dict[str, Any]:
    values = {name: getattr(traffic, name) for name in Traffic.__slots__}
    return {name: None if value != value else value for name, value in values.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
