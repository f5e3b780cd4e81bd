"""Replays a month of flights as live requests: the clock moves, features become known, flights are asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from .client import Answer, ReplayClient

TICK = timedelta(minutes=15)
REQUEST_COLUMNS = ("carrier", "origin", "dest", "distance", "tailnum", "scheduled_at")


class FeatureFeed(Protocol):
    """What makes feature values visible online as time passes."""

    def advance(self, until: datetime) -> int:
        """Write every value known by `until`; return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a month's replay did.

    Attributes:
        requests: Requests sent.
        rows: Flights asked about.
        failed: Requests without a 200.
        p50_ms: Median latency of a request in milliseconds, as the client saw it; NaN without requests.
        p99_ms: 99th percentile.
        first_failure: What the first failed request answered, or ``""``.
    """

    requests: int
    rows: int
    failed: int
    p50_ms: float
    p99_ms: float
    first_failure: str = ""


def replay(
    client: ReplayClient,
    flights: pa.Table,
    feed: FeatureFeed,
    progress: Callable[[int], None] = lambda rows: None,
) -> Traffic:
    """Ask about every flight at its scheduled departure.

    The clock moves in ticks of 15 minutes. At the start of a tick the features known by then become visible
    online; then each airport sends one request with its departures of the tick, all airports side by side.

    Args:
        client: Where to post.
        flights: Columns `flight_id` and `REQUEST_COLUMNS`.
        feed: Makes feature values visible; never called with a time later than a flight asked about.
        progress: Called with the number of flights answered in each tick.
    """
    answers: list[Answer] = []
    for moment, bodies, rows in _ticks(flights):
        feed.advance(moment)
        answers += client.post_all(bodies)
        progress(rows)
    return _summary(answers, flights.num_rows)


def _ticks(flights: pa.Table) -> Iterator[tuple[datetime, list[dict[str, Any]], int]]:
    rows = flights.select(["flight_id", *REQUEST_COLUMNS]).sort_by("scheduled_at").to_pylist()
    for moment, group in groupby(rows, key=lambda row: _tick_start(row["scheduled_at"])):
        by_airport: dict[str, dict[str, Any]] = {}
        count = 0
        for row in group:
            body = by_airport.setdefault(row["origin"], {"ids": [], "rows": []})
            body["ids"].append(row.pop("flight_id"))
            body["rows"].append(row)
            count += 1
        yield moment, list(by_airport.values()), count


def _tick_start(moment: datetime) -> datetime:
    minute = moment.minute - moment.minute % (TICK.seconds // 60)
    return moment.replace(minute=minute, second=0, microsecond=0)


def _summary(answers: list[Answer], rows: int) -> Traffic:
    failed = [answer for answer in answers if answer.status != 200]
    times = np.array([answer.milliseconds for answer in answers] or [np.nan])
    p50, p99 = np.percentile(times, [50, 99])
    first = f"{failed[0].status} {failed[0].detail}" if failed else ""
    return Traffic(len(answers), rows, len(failed), float(p50), float(p99), first)
