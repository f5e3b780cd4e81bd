"""Studies over HTTP, as a client of any language would drive them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from raylake import registry
from raylake.console import create_app
from raylake.core import Workspace

SPACE = {
    "heat": {"kind": "real", "low": 150, "high": 250},
    "oven": {"kind": "branch", "options": [
        {"value": "fan", "space": {"speed": {"kind": "integer", "low": 1, "high": 3}}}, {"value": "plain"},
    ]},
}  # fmt: skip
OPEN = {"name": "bread", "space": SPACE, "metric": "crunch", "trials": 4}


@pytest.fixture
def client(ws: Workspace) -> TestClient:
    return TestClient(create_app(ws))


def post(client: TestClient, path: str, body: Any, status: int = 200) -> Any:
    answer = client.post(f"/api/raylake/studies{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_study_from_its_opening_to_its_end(client: TestClient, ws: Workspace) -> None:
    study = post(client, "", OPEN, 201)["id"]
    assert post(client, "", OPEN, 201)["id"] == study
    (first,) = post(client, f"/{study}/suggest", {"client": "a"})["suggestions"]
    assert post(client, f"/{study}/suggest", {"client": "a"})["suggestions"] == [first]
    others = post(client, f"/{study}/suggest", {"client": "b", "count": 9})["suggestions"]
    assert len(others) == 3
    for each in [first, *others]:
        assert ("speed" in each["params"]) == (each["params"]["oven"] == "fan")
        on_the_way = post(client, f"/{study}/report", {"trial": each["trial"], "metrics": {"crunch": 0.1}, "step": 1})
        assert on_the_way == {"status": "running", "stop": False}
        told = {"trial": each["trial"], "metrics": {"crunch": each["params"]["heat"] / 250}}
        assert post(client, f"/{study}/report", told) == post(client, f"/{study}/report", told)
    assert post(client, f"/{study}/suggest", {})["suggestions"] == []
    listed = client.get(f"/api/raylake/studies/{study}/trials").json()
    best = max(trial["metrics"]["crunch"] for trial in listed)
    assert post(client, f"/{study}/close", {})["metrics"] == {"best_crunch": best}
    (found,) = client.get("/api/raylake/studies", params={"status": "finished"}).json()
    assert found["id"] == study and len(registry.trials(ws, study)) == 4


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("", {**OPEN, "space": {"heat": {"kind": "cube"}}}, 400, "kind 'cube'"),
        ("", {**OPEN, "space": {}}, 400, "empty"),
        ("", {**OPEN, "sampler": "magic"}, 400, "sampler 'magic'"),
        ("", {"name": "bread"}, 422, "metric"),
        ("/nobody/suggest", {}, 404, "nobody"),
        ("/STUDY/suggest", {"count": 0}, 422, "count"),
        ("/STUDY/report", {"trial": "nobody", "metrics": {"crunch": 1}}, 404, "nobody"),
    ],
)
def test_wrong_requests(client: TestClient, path: str, body: Any, status: int, message: str) -> None:
    study = post(client, "", OPEN, 201)["id"]
    answer = client.post(f"/api/raylake/studies{path.replace('STUDY', study)}", json=body)
    assert answer.status_code == status and message in answer.text
