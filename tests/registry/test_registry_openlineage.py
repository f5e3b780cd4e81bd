"""OpenLineage: its client posts to our server; our events are its classes; export and import give the graph back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, JobEvent, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    schema_dataset,
)
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport

from raylake import registry
from raylake.console import create_app
from raylake.core import DataError, InvalidName, Node, Workspace
from raylake.registry import ColumnEdge, Edge
from raylake.registry.lineage_walk import every_column_edge, every_edge

COLUMN = st.sampled_from("xy")
NODES = st.builds(
    Node,
    st.sampled_from(["table", "run", "model", "file", "dataset"]),
    st.one_of(
        st.sampled_from(["main.a", "main.b", "0" * 32, "f" * 32, "s3://bucket key"]),
        st.text("ab .@:/%-'\"<é\n", min_size=1, max_size=6),
    ),
    st.sampled_from(["", "1", "2"]),
)


@contextmanager
def serving(ws: Workspace) -> Iterator[str]:
    """Our server on a free port of loopback."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(ws), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def facets(found: Mapping[str, Any]) -> dict[str, Any]:
    """Facets as the client's classes; those that are ours stay out."""
    made: dict[str, Any] = {}
    for name, content in found.items():
        given = {key: value for key, value in content.items() if not key.startswith("_")}
        if name == "schema":
            fields = [schema_dataset.SchemaDatasetFacetFields(**one) for one in given["fields"]]
            made[name] = schema_dataset.SchemaDatasetFacet(fields=fields)
        elif name == "version":
            made[name] = dataset_version_dataset.DatasetVersionDatasetFacet(**given)
        elif name == "jobType":
            made[name] = job_type_job.JobTypeJobFacet(**given)
        elif name == "errorMessage":
            made[name] = error_message_run.ErrorMessageRunFacet(**given)
        elif name == "columnLineage":
            made[name] = column_lineage_dataset.ColumnLineageDatasetFacet(
                fields={column: lineage_fields(one) for column, one in given["fields"].items()}
            )
        else:
            assert name.startswith("raylake_")
    return made


def lineage_fields(found: Mapping[str, Any]) -> column_lineage_dataset.Fields:
    inputs = [
        column_lineage_dataset.InputField(
            **{
                **one,
                "transformations": [column_lineage_dataset.Transformation(**each) for each in one["transformations"]],
            }
        )
        for one in found["inputFields"]
    ]
    return column_lineage_dataset.Fields(inputFields=inputs)


def parsed(event: Mapping[str, Any]) -> RunEvent | JobEvent:
    """Our event as the client's class, which checks it."""
    job = Job(event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"]))
    inputs = [InputDataset(one["namespace"], one["name"], facets=facets(one["facets"])) for one in event["inputs"]]
    outputs = [OutputDataset(one["namespace"], one["name"], facets=facets(one["facets"])) for one in event["outputs"]]
    common = {"eventTime": event["eventTime"], "producer": event["producer"], "job": job}
    if "run" not in event:
        return JobEvent(inputs=inputs, outputs=outputs, **common)
    run = Run(event["run"]["runId"], facets(event["run"]["facets"]))
    return RunEvent(eventType=RunState(event["eventType"]), run=run, inputs=inputs, outputs=outputs, **common)


def within(ours: Any, theirs: Any) -> bool:
    """Whether all of `ours` is in `theirs`; facets' own keys and what is ours alone aside."""
    if isinstance(ours, Mapping):
        kept = {key: value for key, value in ours.items() if not key.startswith(("_", "raylake_"))}
        return all(key in theirs and within(value, theirs[key]) for key, value in kept.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(within, ours, theirs))
    return bool(ours == theirs)


@pytest.fixture
def made(ws: Workspace) -> Workspace:
    """A table from a file, a failed and a finished run, a model, an endpoint."""
    flights = registry.record_table(ws, "flights", 3, rows=2, schema={"id": "int64", "late": "bool"}, operation="write")
    view = registry.record_table(ws, "features.v", 1, rows=2, schema={"share": "double"}, operation="build_view")
    registry.add_lineage(ws, [Node("file", "raw/a b%40c.csv")], [flights.node])
    registry.add_lineage(ws, [flights.node], [view.node])
    registry.add_column_lineage(ws, flights.node, view.node, {"share": ["late", "id"]}, how="mean")
    registry.finish_run(ws, registry.start_run(ws, "fit", "bad", inputs=[view.node]).id, status="failed", error="boom")
    run = registry.start_run(ws, "fit", "good", inputs=[view.node])
    run = registry.finish_run(ws, run.id, metrics={"auc": 0.7}, artifact="0" * 64)
    registry.record_deployment(ws, "delays", registry.register(ws, run, name="delay"), target="delay@1")
    return ws


def test_our_events_are_the_clients_classes(made: Workspace) -> None:
    events = registry.openlineage_events(made)
    for event in events:
        theirs = Serde.to_dict(parsed(event))
        assert within(event, theirs)
        assert theirs["schemaURL"] == event["schemaURL"]
    good = next(event for event in events if event["job"]["name"] == "fit/good")
    assert (good["eventType"], [one["name"] for one in good["outputs"]]) == ("COMPLETE", ["model:delay"])
    (read,) = good["inputs"]
    assert read["facets"]["version"]["datasetVersion"] == "1"
    assert read["facets"]["schema"]["fields"] == [{"name": "share", "type": "double"}]
    bad = next(event for event in events if event["job"]["name"] == "fit/bad")
    assert (bad["eventType"], bad["run"]["facets"]["errorMessage"]["message"]) == ("FAIL", "boom")
    (view,) = [one for event in events for one in event["outputs"] if one["name"] == "table:features.v"]
    assert [one["field"] for one in view["facets"]["columnLineage"]["fields"]["share"]["inputFields"]] == ["id", "late"]


def test_a_part_of_the_graph(made: Workspace) -> None:
    events = registry.openlineage_events(made, "table:main.flights", direction="upstream")
    assert [event["outputs"][0]["name"] for event in events] == ["table:main.flights"]


def test_export_and_import_give_the_graph_back(made: Workspace, tmp_path: Path) -> None:
    other = Workspace.open(tmp_path / "other", registry_url="", online_url="")
    events = registry.openlineage_events(made)
    assert registry.accept_openlineage(other, events) == len(events)
    assert set(every_edge(other)) == set(every_edge(made))
    assert set(every_column_edge(other)) == set(every_column_edge(made))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    pairs=st.lists(st.tuples(NODES, NODES), max_size=12),
    columns=st.lists(
        st.tuples(NODES, st.sampled_from("xy"), NODES, st.sampled_from("xy"), st.text(max_size=3)), max_size=5
    ),
)
def test_any_graph_comes_back(
    tmp_path: Path, pairs: list[tuple[Node, Node]], columns: list[tuple[Node, str, Node, str, str]]
) -> None:
    one, other = (Workspace.open(tmp_path / uuid4().hex, registry_url="", online_url="") for _ in range(2))
    registry.add_edges(one, [Edge(*pair) for pair in pairs])
    for source, before, target, after, how in columns:
        registry.add_column_lineage(one, source, target, {after: before}, how=how)
    registry.accept_openlineage(other, registry.openlineage_events(one))
    assert set(every_edge(other)) == set(every_edge(one))
    assert set(every_column_edge(other)) == set(every_column_edge(one))


def test_the_official_client_posts_to_our_server(ws: Workspace) -> None:
    run, moment = str(uuid4()), datetime.now(UTC).isoformat()
    version = {"version": dataset_version_dataset.DatasetVersionDatasetFacet("7")}
    field = column_lineage_dataset.InputField("s3://raw", "orders", "price")
    lineage = column_lineage_dataset.ColumnLineageDatasetFacet(fields={"total": column_lineage_dataset.Fields([field])})
    inputs = [
        InputDataset("s3://raw", "orders", facets=version),
        InputDataset("file", f"{ws.root}/tables/main/flights"),
    ]
    outputs = [OutputDataset("postgres://db:5432", "shop.totals", facets={"columnLineage": lineage})]
    job = Job("airflow", "daily.totals")
    with serving(ws) as url:
        client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=url)))
        for state in (RunState.START, RunState.COMPLETE):
            client.emit(
                RunEvent(eventType=state, eventTime=moment, run=Run(run), job=job, inputs=inputs, outputs=outputs)
            )
        client.emit(JobEvent(eventTime=moment, job=Job("dbt", "static"), inputs=inputs, outputs=[]))
        shown = httpx.get(f"{url}/api/raylake/lineage", params={"node": "table:main.flights"}).json()
    totals, orders = Node("dataset", "postgres://db:5432 shop.totals"), Node("dataset", "s3://raw orders", "7")
    node = Node("run", run.replace("-", ""))
    assert set(registry.upstream(ws, totals)) == {
        Edge(orders, node), Edge(Node("table", "main.flights"), node), Edge(node, totals)
    }  # fmt: skip
    assert registry.upstream_columns(ws, totals, "total") == [ColumnEdge(orders, "price", totals, "total")]
    assert shown["labels"][str(node)] == "airflow daily.totals (complete)"
    again = registry.openlineage_events(ws, totals)
    named = next(event for event in again if "run" in event)
    assert (named["run"]["runId"], named["job"]["namespace"], named["job"]["name"]) == (run, "airflow", "daily.totals")
    assert {(one["namespace"], one["name"]) for one in named["inputs"]} >= {("s3://raw", "orders")}


RUN = {"runId": str(uuid4())}
JOB = {"namespace": "spark", "name": "x"}
GOOD: dict[str, Any] = {"eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "run": RUN, "job": JOB}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"eventTime": ""}, "eventTime"),
        ({"run": {"runId": "4711"}}, "4711"),
        ({"run": []}, "run is missing or no object"),
        ({"job": {"namespace": "spark"}}, "job.name"),
        ({"eventType": "DONE"}, "'DONE' is unknown"),
        ({"inputs": "orders"}, "inputs is no list"),
        ({"inputs": [{"namespace": "s3://raw"}]}, "dataset.name"),
        ({"outputs": [{"namespace": "raylake://default", "name": "flights"}]}, "use kind:name"),
        (
            {"outputs": [{"namespace": "x", "name": "y", "facets": {"raylake_columns": {"edges": [["a"]]}}}]},
            "raylake_col",
        ),
    ],
)
def test_what_is_wrong_with_an_event_is_said_and_nothing_is_recorded(
    ws: Workspace, change: dict[str, Any], told: str
) -> None:
    fine = {**GOOD, "inputs": [{"namespace": "s3://raw", "name": "orders"}]}
    with pytest.raises(DataError, match=told):
        registry.accept_openlineage(ws, [fine, {**GOOD, **change}])
    assert every_edge(ws) == []


def test_a_node_that_is_none(ws: Workspace) -> None:
    with pytest.raises(InvalidName):
        registry.accept_openlineage(ws, {**GOOD, "inputs": [{"namespace": "raylake://x", "name": "No Kind:x"}]})


def test_the_same_event_twice_is_one(ws: Workspace) -> None:
    event = {**GOOD, "outputs": [{"namespace": "s3://raw", "name": "orders"}]}
    assert registry.accept_openlineage(ws, [event, event]) == 1
    assert registry.accept_openlineage(ws, event) == 0
    assert len(every_edge(ws)) == 1


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a JSON value."""
    yield before
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(item, (*before, key))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_stands_in_an_event_is_accepted_or_explained(ws: Workspace, data: st.DataObject) -> None:
    source = {"namespace": "s3://raw", "name": "orders", "field": "x", "transformations": [{"type": "DIRECT"}]}
    output = {"namespace": "a", "name": "b", "facets": {
        "version": {"datasetVersion": "1"}, "columnLineage": {"fields": {"x": {"inputFields": [source]}}},
        "raylake_columns": {"edges": [["table", "t", "1", "x", "y", ""]]},
    }}  # fmt: skip
    named = {**RUN, "facets": {"raylake_node": {"name": "r", "version": ""}}}
    event: Any = json.loads(json.dumps({**GOOD, "run": named, "inputs": [source], "outputs": [output]}))
    *way, last = data.draw(st.sampled_from([place for place in places(event) if place]))
    inner = event
    for key in way:
        inner = inner[key]
    inner[last] = data.draw(ANYTHING)
    try:
        registry.accept_openlineage(ws, event)
    except (DataError, InvalidName) as error:
        assert str(error)
    else:
        registry.openlineage_events(ws)
