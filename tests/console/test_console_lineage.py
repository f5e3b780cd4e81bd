"""Lineage, pictures, traces, comparisons and cards over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from raylake import data, registry
from raylake.console import create_app
from raylake.core import Node, Workspace

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def client(ws: Workspace) -> Iterator[TestClient]:
    """The server of a workspace with a file, a table, two model versions, an endpoint and a captured prediction."""
    raw = registry.record_table(ws, "flights", 3, rows=2, schema={"id": "int64"}, operation="ingest")
    registry.add_lineage(ws, [Node("file", NASTY)], [raw.node])
    registry.add_column_lineage(ws, raw.node, Node("table", "features.v", "1"), {"late": "delay"}, how="mean")
    for auc in (0.7, float("nan")):
        model = registry.register_artifact(
            ws, "0" * 64, name="delay", metrics={"auc": auc}, inputs=[raw.node], description=NASTY
        )
    registry.record_deployment(ws, "delays", model, target="delay@2")
    moment = datetime(2013, 7, 1, tzinfo=UTC)
    row = {"id": "a#0", "request_id": "a", "at": moment, "received_at": moment, "model": "delay", "version": 2}
    rows = pa.Table.from_pylist([{**row, "origin": NASTY, "prediction": 0.5, "latency_ms": 1.0}])
    data.write(ws, "predictions.delays", rows)
    with TestClient(create_app(ws)) as client:
        yield client


def get(client: TestClient, path: str, **params: Any) -> Any:
    answer = client.get(f"/api/raylake/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_graph_both_ways(client: TestClient) -> None:
    found = get(client, "lineage", node="table:main.flights")
    assert {edge["target"] for edge in found["edges"]} == {
        "table:main.flights@3", "model:delay@1", "model:delay@2", "endpoint:delays"
    }  # fmt: skip
    assert found["labels"]["table:main.flights@3"] == "2 rows, ingest"
    up = get(client, "lineage", node="endpoint:delays", direction="upstream", depth=1)
    assert up["edges"] == [{"source": "model:delay@2", "target": "endpoint:delays"}]
    assert get(client, "lineage", node="endpoint:delays", most=1)["hidden"] == 2


def test_pictures_and_pages_cannot_run_scripts(client: TestClient) -> None:
    for path, params, kind in (
        ("lineage/picture", {"node": "model:delay@2"}, "image/svg+xml"),
        ("lineage/mermaid", {"node": "model:delay@2"}, "text/plain"),
        ("card", {"model": "delay@2"}, "text/html"),
        ("card", {"model": "delay@2", "format": "markdown"}, "text/markdown"),
    ):
        answer = client.get(f"/api/raylake/{path}", params=params)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script" not in answer.text and "delay" in answer.text


def test_columns(client: TestClient) -> None:
    (edge,) = get(client, "lineage/columns", node="table:features.v", column="late")
    assert (edge["source"], edge["source_column"], edge["how"]) == ("table:main.flights@3", "delay", "mean")
    assert len(get(client, "lineage/columns", node="table:main.flights", column="delay", direction="downstream")) == 1


def test_a_prediction_is_traced(client: TestClient) -> None:
    found = get(client, "trace", id="a#0")
    assert found["prediction"]["value"] == 0.5
    assert (found["model"]["name"], found["model"]["version"]) == ("delay", 2)
    assert found["tables"] == ["table:main.flights@3"] and found["files"] == [f"file:{NASTY}"]
    assert client.get("/api/raylake/trace", params={"id": "zzz"}).status_code == 404


def test_a_comparison(client: TestClient) -> None:
    found = get(client, "compare", a="delay@1", b="delay@2")
    assert {"part": "metric", "name": "auc", "a": 0.7, "b": None} in found["differences"]
    assert client.get("/api/raylake/compare", params={"a": "delay@1", "b": "flights@3"}).status_code == 422


def test_openlineage_both_ways(client: TestClient, ws: Workspace) -> None:
    event = {
        "eventType": "COMPLETE", "eventTime": "2026-01-01T00:00:00Z", "run": {"runId": str(uuid4())},
        "job": {"namespace": "spark", "name": "x"}, "outputs": [{"namespace": "s3://raw", "name": "orders"}],
    }  # fmt: skip
    for path in ("/api/v1/lineage", "/api/raylake/lineage/openlineage"):
        for body in (event, [event, event]):
            assert client.post(path, json=body).status_code == 201
    assert len(registry.upstream(ws, "dataset:s3://raw orders")) == 1
    assert {one["outputs"][0]["name"] for one in get(client, "lineage/openlineage")} >= {"orders", "model:delay"}
    bad = client.post("/api/v1/lineage", json={**event, "run": {"runId": "x"}})
    assert (bad.status_code, bad.json()["error"]) == (422, "DataError")


@pytest.mark.parametrize("body", [b"", b"{", b"[]x", b"7", b'"x"', b"[7]", b"null", b'{"run": NaN}'])
def test_bodies_that_are_no_events(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/v1/lineage", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)


def test_wrong_questions_are_answered_with_4xx(client: TestClient) -> None:
    for path, params in (
        ("lineage", {"node": "flights"}),
        ("lineage", {"node": "table:main.flights", "depth": -1}),
        ("lineage", {"node": "table:main.flights", "direction": "sideways"}),
        ("lineage", {}),
        ("card", {"model": "nothing@1"}),
        ("compare", {"a": "../../etc/passwd", "b": "x"}),
        ("trace", {"id": "a#0", "endpoint": "../x"}),
    ):
        assert 400 <= client.get(f"/api/raylake/{path}", params=params).status_code < 500, (path, params)


def test_it_is_documented(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/raylake/lineage", "/api/v1/lineage", "/api/raylake/trace", "/api/raylake/card"} <= set(paths)
