"""One month of the second half of the year: its flights asked about, its outcomes, and what it came to.

What was done is kept as an event per month, so that whoever goes on after an interruption finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import data, features, monitor, registry, serve, train
from ..core import Node, Workspace
from ..registry import ModelVersion
from .client import ReplayClient
from .options import ENDPOINT, Options, month_label
from .replay import Traffic, replay
from .result import Month
from .stages import flights_between

REPLAYED, JUDGED = "demo.month-replayed", "demo.month-judged"
PREDICTIONS = f"predictions.{ENDPOINT}"
CAPTURE_TIMEOUT = 60.0


def replay_month(
    ws: Workspace,
    month: int,
    options: Options,
    client: ReplayClient,
    feed: features.Materialiser,
    counting: Callable[[int], Callable[[int], None]],
) -> dict[str, Any]:
    """Ask about the month's flights that were not asked about before; returns the traffic's figures.

    Args:
        ws: The workspace.
        month: The month.
        options: How much of it.
        client: Where to post.
        feed: Makes feature values visible.
        counting: Given the number of flights, returns what counts them.
    """
    if known := stored(ws, REPLAYED, month):
        return known
    window = options.window(month)
    flights = flights_between(ws, *window)
    missing = _without(flights, captured_ids(ws, window))
    before = len(captured_ids(ws))
    count = counting(flights.num_rows)
    count(flights.num_rows - missing.num_rows)
    traffic = replay(client, missing, feed, count)
    if traffic.rows and not traffic.failed:
        serve.wait_captured(ws, ENDPOINT, before + missing.num_rows, timeout=CAPTURE_TIMEOUT)
    store(ws, REPLAYED, month, _plain(traffic))
    return stored(ws, REPLAYED, month)


def labels_arrive(ws: Workspace, month: int, options: Options, known_at: datetime) -> None:
    """The outcomes of a month become known."""
    flights = flights_between(ws, *options.window(month))
    landed = flights.filter(pc.is_valid(flights["late"]))
    moment = pa.array([known_at] * landed.num_rows, pa.timestamp("us", tz="UTC"))
    labels = pa.table({"id": landed["flight_id"], "label": landed["late"], "known_at": moment})
    monitor.add_labels(ws, ENDPOINT, labels)


def month_of(ws: Workspace, month: int, options: Options, first: train.LoadedModel) -> Month:
    """The month, from what was stored and from the labels that have arrived."""
    traffic, judged = stored(ws, REPLAYED, month), stored(ws, JUDGED, month)
    scored = monitor.scored(ws, ENDPOINT, options.window(month))
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


def store_judged(
    ws: Workspace, month: int, drift: tuple[float, Sequence[str]] | None, promoted: ModelVersion | None, decision: str
) -> None:
    """Store how a month was judged: share and names of the drifted columns, the new champion, the decision."""
    share, names = drift or (None, ())
    version = promoted.version if promoted else None
    store(ws, JUDGED, month, {"drift_share": share, "drifted": list(names), "promoted": version, "decision": decision})


def stored(ws: Workspace, kind: str, month: int) -> dict[str, Any]:
    """What was stored of a month, empty when nothing was."""
    name = month_label(month)
    found = [event.payload for event in registry.events(ws, kind=kind) if event.payload["month"] == name]
    return found[-1] if found else {}


def store(ws: Workspace, kind: str, month: int, payload: dict[str, Any]) -> None:
    """Store what was done of a month."""
    registry.record_event(ws, kind, Node("endpoint", ENDPOINT), {"month": month_label(month), **payload})


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


def _plain(traffic: Traffic) -> dict[str, Any]:
    values = {name: getattr(traffic, name) for name in Traffic.__slots__}
    return {name: None if value != value else value for name, value in values.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
