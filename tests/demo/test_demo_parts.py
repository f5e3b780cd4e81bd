"""Parts of the story that need no cluster: the client, the clock, the result, the declarations."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import ClassVar

import pyarrow as pa
import pytest
from rich.console import Console

from raylake.demo import DemoResult, LiveDisplay, Month
from raylake.demo.client import ReplayClient
from raylake.demo.options import MONTHS, month_window
from raylake.demo.replay import replay
from raylake.flights import calendar, prepare_flights

UTC_MICROS = pa.timestamp("us", tz="UTC")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        status = 422 if body["rows"][0]["carrier"] == "bad" else 200
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = len(self.seen) % 3 == 0  # a server may hang up between requests

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen.clear()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/models/x/predict"
    http.shutdown()
    thread.join()
    http.server_close()


class Feed:
    def __init__(self) -> None:
        self.times: list[datetime] = []

    def advance(self, until: datetime) -> int:
        self.times.append(until)
        return 0


def _flights(carriers: list[str], minutes: list[int]) -> pa.Table:
    start = datetime(2013, 7, 1, 14, tzinfo=UTC)
    count = len(carriers)
    return pa.table(
        {
            "flight_id": [f"f{index}" for index in range(count)],
            "carrier": carriers,
            "origin": ["EWR", "JFK"] * (count // 2) + ["EWR"] * (count % 2),
            "dest": ["IAH"] * count,
            "distance": [1400.0] * count,
            "tailnum": ["N1"] * count,
            "scheduled_at": pa.array([start + timedelta(minutes=m) for m in minutes], UTC_MICROS),
        }
    )


def test_replay_asks_about_every_flight_once_and_never_looks_ahead(server: str) -> None:
    flights = _flights(["UA"] * 9, [50, 3, 14, 15, 16, 31, 31, 0, 59])
    feed, client = Feed(), ReplayClient(server)
    traffic = replay(client, flights, feed)
    client.close()
    asked = sorted(name for body in Handler.seen for name in body["ids"])  # type: ignore[attr-defined]
    assert asked == sorted(flights["flight_id"].to_pylist())
    assert (traffic.rows, traffic.failed, traffic.requests) == (9, 0, len(Handler.seen))
    assert feed.times == sorted(feed.times)
    for body in Handler.seen:
        for row in body["rows"]:  # type: ignore[attr-defined]
            moment = datetime.fromisoformat(row["scheduled_at"])
            assert any(moment - timedelta(minutes=15) < time <= moment for time in feed.times)


def test_a_refused_request_is_counted_and_shown(server: str) -> None:
    client = ReplayClient(server)
    traffic = replay(client, _flights(["UA", "bad"], [1, 2]), Feed())
    client.close()
    assert traffic.failed == 1
    assert traffic.first_failure.startswith("422")


def test_no_server_is_a_failure_not_an_exception() -> None:
    client = ReplayClient("http://127.0.0.1:9/models/x/predict")
    traffic = replay(client, _flights(["UA"], [1]), Feed())
    client.close()
    assert traffic.failed == 1
    assert traffic.first_failure.startswith("0 ConnectionRefusedError")


def test_an_empty_month_is_no_traffic(server: str) -> None:
    client = ReplayClient(server)
    assert replay(client, _flights([], []), Feed()).requests == 0
    client.close()


def test_months_join_without_gap() -> None:
    windows = [month_window(month) for month in MONTHS]
    assert all(left[1] == right[0] for left, right in itertools.pairwise(windows))
    assert windows[-1][1] == datetime(2014, 1, 1, tzinfo=UTC)


def test_prepared_flights_name_moments_and_labels() -> None:
    raw = pa.table(
        {
            "time_hour": pa.array([datetime(2013, 1, 1, 10, tzinfo=UTC)] * 3, UTC_MICROS),
            "minute": [15, 29, 0],
            "dep_delay": pa.array([2.0, None, 1301.0]),
            "arr_delay": pa.array([16.0, None, 15.0]),
            "carrier": ["UA", "AA", "B6"],
            "flight": [1, 2, 3],
            "origin": ["EWR", "LGA", "JFK"],
        }
    )
    made = prepare_flights(raw).to_pylist()
    assert [row["late"] for row in made] == [1, None, 0]
    assert made[0]["scheduled_at"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert made[0]["departed_at"] == datetime(2013, 1, 1, 10, 17, tzinfo=UTC)
    assert made[1]["departed_at"] is None
    assert made[0]["flight_id"] == "UA-1-EWR-2013010110"


def test_the_calendar_is_local_over_daylight_saving() -> None:
    moments = [datetime(2013, 7, 1, 14, 5, tzinfo=UTC), datetime(2013, 12, 1, 14, 5, tzinfo=UTC)]
    made = calendar(pa.table({"scheduled_at": pa.array(moments, UTC_MICROS)}))
    assert made["minute_of_day"].to_pylist() == [10 * 60 + 5, 9 * 60 + 5]
    assert made["weekday"].to_pylist() == [0.0, 6.0]


def _result() -> DemoResult:
    month = Month("2013-07", 100, 0, 3.2, 9.9, 0.25, ("temp",), 0.71, 0.70, 2, "Promote: better.")
    return DemoResult(366213, ("flights@0",), 1000, 6, 0.72, (month,), True, 12.3, urls={"ray dashboard": "http://x"})


def test_the_json_has_the_promised_names() -> None:
    made = json.loads(json.dumps(_result().to_json()))
    promised = """rows_ingested tables training_rows trials auc_first auc_by_month auc_never_retrained_by_month
        drift_by_month promotions requests failed_requests lineage_endpoint_to_raw seconds"""
    assert set(promised.split()) <= set(made)
    assert made["promotions"] == [2]


def test_the_closing_table_shows_the_months() -> None:
    text = StringIO()
    display = LiveDisplay(Console(file=text, width=140))
    with display.stage("ingest") as say:
        say("flights@0 [3 rows]")
    with display.month("2013-07", 10) as count:
        count(10)
    display.result(_result())
    shown = text.getvalue()
    for word in ("flights@0 [3 rows]", "2013-07", "25%", "0.710", "0.700", "@2", "http://x"):
        assert word in shown
