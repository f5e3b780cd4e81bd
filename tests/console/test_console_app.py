"""The application answers for its workspace."""

from __future__ import annotations

import subprocess
import sys

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from raylake.console import create_app
from raylake.core import NotFound, Workspace


def test_server_info(ws: Workspace) -> None:
    with TestClient(create_app(ws)) as client:
        answer = client.get("/api/3.0/mlflow/server-info")
    assert answer.status_code == 200 and answer.json()["store_type"] == "SqlStore"
    assert answer.json()["multipart_uploads_enabled"] is True


def test_a_body_that_is_no_json(ws: Workspace) -> None:
    with TestClient(create_app(ws)) as client:
        assert client.post("/api/3.0/mlflow/server-info", content=b"{").status_code == 405


def test_importing_the_server_loads_neither_ray_nor_what_models_need() -> None:
    code = "import sys, raylake.console; print([n for n in ('ray', 'torch', 'pandas', 'xgboost') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_fixed_path_wins_and_keeps_its_methods_and_errors(ws: Workspace) -> None:
    app = create_app(ws)

    def broken(request: Request) -> Response:
        raise NotFound("no such thing")

    app.router.routes += [
        Route("/a/{name}", lambda request: Response(request.path_params["name"])),
        Route("/a/b", lambda request: Response("fixed"), methods=["GET"]),
        Route("/a/c", broken, methods=["POST"]),
    ]
    client = TestClient(app)
    assert client.get("/a/b").text == client.get("/w/default/a/b").text == "fixed"
    assert client.get("/a/x").text == "x" and client.head("/a/b").status_code == 200
    assert client.post("/a/b").status_code == 405 and client.get("/a/b/").status_code == 404
    answer = client.post("/a/c")
    assert (answer.status_code, answer.json()["error"]) == (404, "NotFound")


def test_what_is_wrong_with_a_request_is_told_in_a_few_words(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    answer = client.post("/api/raylake/tokens", json={"user": "a", "scopes": [{}] * 10_000, "x" * 9000: "s3cret"})
    assert answer.status_code == 422 and len(answer.text) < 3000 and "s3cret" not in answer.text
    assert "scopes.0" in answer.json()["message"] and "more" in answer.json()["message"]
