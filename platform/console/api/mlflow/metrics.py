"""Histories of metrics."""

from __future__ import annotations

from typing import Any

from ....core import Workspace
from ....registry import tracking
from ....registry.page_tokens import offset_of, token_of
from ....registry.tracking.metrics import sampled
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .messages import metric_message
from .runs import RUN_ID

MOST_BULK, MOST_BULK_RUNS = 25_000, 100
MOST_SAMPLED, MOST_SAMPLED_RUNS = 2500, 100


def _history(ws: Workspace, message: Message) -> Message:
    most, start = message.get("max_results"), offset_of(message.get("page_token", ""))
    if most is not None and most <= 0:
        raise invalid_parameter(
            f"Invalid value {most} for parameter 'max_results' supplied. It must be a positive integer."
        )
    limit = None if most is None else most + 1
    found = tracking.measurements(ws, message["run_id"], message["metric_key"], limit=limit, offset=start)
    answer: dict[str, Any] = {}
    if most is not None and len(found) > most:
        found = found[:most]
        answer["next_page_token"] = token_of(start + most)
    if found:
        answer["metrics"] = [metric_message(each) for each in found]
    return answer


def _bulk(ws: Workspace, message: Message) -> Message:
    ids = message.get("run_id", [])
    if not ids:
        raise invalid_parameter("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(ids) > MOST_BULK_RUNS:
        raise invalid_parameter(
            f"GetMetricHistoryBulk request cannot specify more than {MOST_BULK_RUNS} run_ids. Received {len(ids)} "
            "run_ids."
        )
    if "metric_key" not in message:
        raise invalid_parameter("GetMetricHistoryBulk request must specify a metric_key.")
    most = min(message.get("max_results", MOST_BULK), MOST_BULK)
    found: list[dict[str, Any]] = []
    for run_id in sorted(set(ids)):
        rest = most - len(found)
        if rest > 0:
            points = tracking.measurements(ws, run_id, message["metric_key"], limit=rest)
            found += [{**metric_message(each), "run_id": run_id} for each in points]
    return {"metrics": found}


def _interval(ws: Workspace, message: Message) -> Message:
    ids, most = message["run_ids"], message.get("max_results", MOST_SAMPLED)
    if len(ids) > MOST_SAMPLED_RUNS:
        raise invalid_parameter(
            f"GetMetricHistoryBulkInterval request must specify at most {MOST_SAMPLED_RUNS} run_ids. Received "
            f"{len(ids)} run_ids."
        )
    if not 1 <= most <= MOST_SAMPLED:
        raise invalid_parameter(f"max_results must be between 1 and {MOST_SAMPLED}.")
    steps = _steps(message)
    found = [
        {**metric_message(each), "run_id": run_id}
        for run_id in ids
        for each in sampled(ws, run_id, message["metric_key"], most, steps)
    ]
    return {"metrics": found} if found else {}


def _steps(message: Message) -> tuple[int, int] | None:
    start, end = message.get("start_step"), message.get("end_step")
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise invalid_parameter("If either start step or end step are specified, both must be specified.")
    if start > end:
        raise invalid_parameter(
            f"end_step must be greater than start_step. Found start_step={start} and end_step={end}."
        )
    return start, end


_BASE = "/2.0/mlflow/metrics"
_KEY = Field("metric_key", required=True)
METRICS = (
    Endpoint(
        "GET",
        f"{_BASE}/get-history",
        _history,
        (RUN_ID, _KEY, Field("max_results", "integer"), Field("page_token")),
    ),
    Endpoint(
        "GET",
        f"{_BASE}/get-history-bulk",
        _bulk,
        (Field("run_id", "array"), Field("metric_key"), Field("max_results", "integer")),
    ),
    Endpoint(
        "GET",
        f"{_BASE}/get-history-bulk-interval",
        _interval,
        (
            Field("run_ids", "array", required=True),
            _KEY,
            Field("start_step", "integer"),
            Field("end_step", "integer"),
            Field("max_results", "integer"),
        ),
    ),
)
