"""Runs: created, read, changed, deleted."""

from __future__ import annotations

from datetime import UTC, datetime

from ....core import Workspace
from ....registry import tracking
from ....registry.tracking.entries import NAME_TAG, PARENT_TAG
from ....registry.tracking.runs import NewRun, new_run, run_view, update_run
from ....registry.tracking.search import search_views
from .endpoint import Endpoint, Field, Message
from .errors import invalid_parameter
from .experiments import lifecycle_of, page_of, strings, tag_pairs
from .messages import experiment_id, moment, our_status, run_info, run_message
from .names import random_name

RUN_ID = Field("run_id", required=True, alias="run_uuid")
KIND = "mlflow"  # of runs that its clients start


def _create(ws: Workspace, message: Message) -> Message:
    tags = dict(tag_pairs(message.get("tags", [])))
    given, tagged = message.get("run_name", ""), tags.pop(NAME_TAG, "")
    if given and tagged and given != tagged:
        raise invalid_parameter(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{given}', mlflow.runName='{tagged}')."
        )
    start = message.get("start_time")
    new = NewRun(
        KIND,
        given or tagged or random_name(),
        parent=tags.pop(PARENT_TAG, None),
        tags=tuple((key, value, False) for key, value in tags.items()),
        experiment=experiment_id(message.get("experiment_id", "")),
        created_at=datetime.now(UTC) if not start else moment(start, "start_time"),
        user_id=message.get("user_id", ""),
    )
    made = run_message(new_run(ws, new))
    del made["outputs"]  # as MLflow's server answers
    return {"run": made}


def _get(ws: Workspace, message: Message) -> Message:
    return {"run": run_message(run_view(ws, message["run_id"]))}


def _search(ws: Workspace, message: Message) -> Message:
    found = search_views(
        ws,
        message.get("filter", ""),
        experiment_ids=[experiment_id(each) for each in strings(message.get("experiment_ids", []), "experiment_ids")],
        order_by=strings(message.get("order_by", []), "order_by"),
        lifecycle=lifecycle_of(message.get("run_view_type", 1)),
        limit=message.get("max_results", 1000),
        page_token=message.get("page_token", ""),
    )
    return page_of("runs", [run_message(each) for each in found.items], found.token)


def _update(ws: Workspace, message: Message) -> Message:
    status, end = message.get("status"), message.get("end_time")
    view = update_run(
        ws,
        message["run_id"],
        status=None if status is None else our_status(status),
        ended_at=None if end is None else moment(end, "end_time"),
        name=message.get("run_name"),
    )
    return {"run_info": run_info(view)}


def _delete(ws: Workspace, message: Message) -> Message:
    tracking.delete_run(ws, message["run_id"])
    return {}


def _restore(ws: Workspace, message: Message) -> Message:
    tracking.restore_run(ws, message["run_id"])
    return {}


_BASE = "/2.0/mlflow/runs"
RUNS = (
    Endpoint(
        "POST",
        f"{_BASE}/create",
        _create,
        (
            Field("experiment_id"),
            Field("user_id"),
            Field("run_name"),
            Field("start_time", "integer"),
            Field("tags", "array"),
        ),
    ),
    Endpoint("GET", f"{_BASE}/get", _get, (RUN_ID,)),
    Endpoint(
        "POST",
        f"{_BASE}/search",
        _search,
        (
            Field("experiment_ids", "array"),
            Field("filter"),
            Field("max_results", "integer"),
            Field("order_by", "array"),
            Field("page_token"),
        ),
    ),
    Endpoint(
        "POST",
        f"{_BASE}/update",
        _update,
        (RUN_ID, Field("end_time", "integer"), Field("run_name")),
    ),
    Endpoint("POST", f"{_BASE}/delete", _delete, (RUN_ID,)),
    Endpoint("POST", f"{_BASE}/restore", _restore, (RUN_ID,)),
)
