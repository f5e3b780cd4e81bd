"""The HTTP face, without Serve: routes, status codes, error bodies, joint prediction, documentation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pyarrow as pa
import pytest
from serve_models import ROW, StandIn

from raylake.core import DeploymentFailed
from raylake.serve.app import MAX_BODY, PROBE_HEADER, Application
from raylake.serve.capture import Answered
from raylake.serve.openapi import example_request, openapi
from raylake.serve.predictor import Predictor
from raylake.serve.watcher import Watcher


class FakeReplica:
    """A host without threads or storage."""

    endpoint = "delays"
    sample = 1.0

    def __init__(self, model: StandIn | None = None) -> None:
        self.predictor = Predictor(model or StandIn(), None, "delay", 3, max_rows=50)  # type: ignore[arg-type]
        self.answers: list[Answered] = []
        self.statuses: list[int] = []

    def captured(self, answered: Answered) -> None:
        self.answers.append(answered)

    def observed(self, seconds: float, status: int) -> None:
        self.statuses.append(status)

    def describe(self) -> dict[str, Any]:
        return {"version": self.predictor.version}


def ask(host: FakeReplica, method: str = "POST", path: str = "predict", **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(Application(host), root_path="/models/delays")
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, f"/models/delays/{path}", **more)

    return asyncio.run(send())


def test_a_prediction_names_its_model_and_is_captured() -> None:
    host = FakeReplica()
    reply = ask(host, json={"rows": [ROW, ROW | {"distance": 200}], "ids": ["a", "b"]})
    found = reply.json()
    assert reply.status_code == 200 and found["predictions"] == [1400.0, 200.0]
    assert (found["model"], found["version"]) == ("delay", 3)
    assert host.answers[0].request_id == found["id"] and host.answers[0].scored.request.ids == ("a", "b")
    assert host.statuses == [200]


def test_features_come_back_when_asked_for() -> None:
    assert ask(FakeReplica(), json={"rows": [ROW], "features": True}).json()["features"] == [ROW]


def test_request_ids_are_unique() -> None:
    host = FakeReplica()
    ids = {ask(host, json={"rows": [ROW]}).json()["id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize(
    ("rows", "name", "row"),
    [
        ([ROW, {**ROW, "distance": "far"}], "distance", 1),
        ([{"distance": 1.0, "seats": 3}], "origin", 0),
        ([ROW | {"dep_delay": 9}], "dep_delay", 0),
        ([ROW | {"origin": None}], "origin", 0),
    ],
)
def test_a_bad_field_is_a_422_that_names_it(rows: list[dict[str, Any]], name: str, row: int) -> None:
    host = FakeReplica()
    reply = ask(host, json={"rows": rows})
    error = reply.json()["error"]
    assert reply.status_code == 422 and set(error) == {"code", "message", "field", "row"}
    assert (error["code"], error["field"], error["row"]) == ("invalid_request", name, row)
    assert repr(name) in error["message"] and host.answers == []


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "predict", {}, 405),
        ("POST", "health", {}, 405),
        ("GET", "nothing", {}, 404),
        ("GET", "../other", {}, 404),
        ("POST", "predict", {"content": b"{}", "headers": {"content-type": "text/csv"}}, 415),
        ("POST", "predict", {"content": b" " * (MAX_BODY + 1)}, 413),
        ("POST", "predict", {"content": b""}, 422),
    ],
)
def test_other_mistakes_have_their_own_status(method: str, path: str, more: dict[str, Any], status: int) -> None:
    reply = ask(FakeReplica(), method, path, **more)
    assert reply.status_code == status and reply.json()["error"]["message"]


def test_a_probe_is_answered_and_not_captured() -> None:
    host = FakeReplica()
    assert ask(host, json={"rows": [ROW]}, headers={PROBE_HEADER.decode(): "1"}).status_code == 200
    assert host.answers == []


def test_health_really_predicts() -> None:
    model = StandIn()
    assert ask(FakeReplica(model), "GET", "health").json()["status"] == "healthy"
    assert model.calls == [1]
    sick = ask(FakeReplica(StandIn(constant=float("nan"))), "GET", "health")
    assert sick.status_code == 503 and "predicts nan" in sick.json()["error"]["message"]


def test_requests_of_one_turn_are_predicted_together_and_answered_apart() -> None:
    host = FakeReplica(model := StandIn())
    distances = [1.0, 2.0, 3.0, "four", 5.0]

    async def storm() -> list[httpx.Response]:
        transport = httpx.ASGITransport(Application(host))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            bodies = [{"rows": [ROW | {"distance": distance}]} for distance in distances]
            return await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))

    replies = asyncio.run(storm())
    assert [reply.status_code for reply in replies] == [200, 200, 200, 422, 200]
    assert [reply.json().get("predictions") for reply in replies] == [[1.0], [2.0], [3.0], None, [5.0]]
    assert sum(model.calls) == 4 and len(model.calls) < 4


def test_one_request_that_the_model_refuses_fails_alone() -> None:
    class Picky(StandIn):
        def predict(self, features: pa.Table) -> Any:
            if "LGA" in features["origin"].to_pylist():
                raise ValueError("no LaGuardia")
            return super().predict(features)

    async def storm() -> list[httpx.Response]:
        transport = httpx.ASGITransport(Application(FakeReplica(Picky())))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            bodies = [{"rows": [ROW | {"origin": origin}]} for origin in ("JFK", "LGA", "EWR")]
            return await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))

    assert [reply.status_code for reply in asyncio.run(storm())] == [200, 422, 200]


def test_the_documented_example_works_when_sent() -> None:
    host = FakeReplica()
    document = ask(host, "GET", "openapi.json").json()
    content = document["paths"]["/models/delays/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert ask(host, json=content["example"]).status_code == 200
    assert document["openapi"].startswith("3.1") and document["servers"] == [{"url": "http://here"}]
    page = ask(host, "GET", "docs")
    assert (
        page.headers["content-type"].startswith("text/html")
        and "curl -s http://here/models/delays/predict" in page.text
    )
    assert "<script" not in page.text and "//cdn" not in page.text


def test_every_reference_of_the_document_exists_and_every_field_is_described() -> None:
    predictor = FakeReplica().predictor
    document = openapi(predictor, "delays", "http://here")
    schemas = document["components"]["schemas"]
    references = [part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]]
    assert references and set(references) <= set(schemas)
    row = schemas["Request"]["oneOf"][0]["properties"]["rows"]["items"]
    assert set(row["properties"]) == set(ROW) == set(example_request(predictor)["rows"][0])
    assert row["properties"]["seats"]["type"] == ["integer", "null"]


class Registry:
    """A registry with one alias."""

    def __init__(self) -> None:
        self.points_at: int | None = 1
        self.broken: set[int] = set()
        self.loads: list[int] = []

    def resolve(self) -> Any:
        if self.points_at is None:
            raise DeploymentFailed("the registry is away")
        return type("V", (), {"version": self.points_at, "__str__": lambda v: f"delay@{v.version}"})()

    def load(self, wanted: Any) -> Predictor:
        self.loads.append(wanted.version)
        if wanted.version in self.broken:
            raise DeploymentFailed("file damaged")
        constant = float("nan") if wanted.version == 9 else float(wanted.version)
        return Predictor(StandIn(constant), None, "delay", wanted.version)  # type: ignore[arg-type]


def test_the_watcher_swaps_to_what_the_alias_names() -> None:
    registry, placed = Registry(), []
    watcher = Watcher(registry.resolve, registry.load, placed.append, 1)
    assert not watcher.look() and registry.loads == []
    registry.points_at = 2
    assert watcher.look() and placed[-1].version == 2 and not watcher.look()


@pytest.mark.parametrize("bad", [5, 9])
def test_a_version_that_cannot_answer_leaves_the_old_one_in_place(bad: int) -> None:
    registry, placed = Registry(), []
    watcher = Watcher(registry.resolve, registry.load, placed.append, 1)
    registry.points_at, registry.broken = bad, {5}
    assert not watcher.look() and not watcher.look()
    assert placed == [] and f"delay@{bad} cannot be loaded" in watcher.problem and registry.loads == [bad]
    registry.points_at = None
    assert not watcher.look() and "registry" in watcher.problem
    registry.points_at = 3
    assert watcher.look() and placed[-1].version == 3 and watcher.problem == ""
