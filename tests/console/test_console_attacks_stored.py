"""Attacks that hide in values: paths that lead out, commands in URIs, scripts in names; tried on every route and field.

The routes are asked for here, not listed: what another layer adds later is attacked too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_routes import PLACEHOLDER, add_route, described, every_route, locked_client, one_loop, raw
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.testclient import TestClient

from raylake import registry
from raylake.console import create_app
from raylake.console.api.mlflow import ENDPOINTS
from raylake.core import Workspace

CANARY = "c4nary-7f3a-that-nobody-may-read"
UP = "../" * 12


def _outward(secret: Path, pwned: Path) -> list[str]:
    """Texts that some server of this kind once followed out of its folder, or handed to a shell."""
    absolute, command = str(secret), f"touch {pwned}"
    return [
        *(UP + absolute, "..", "../..", UP, ".", "/", "//", absolute, f"file://{absolute}", f"file:{absolute}"),
        *(f"/{UP}{absolute}", absolute.replace("/", "%2f"), (UP + absolute).replace("/", "%2F")),
        *((UP + absolute).replace(".", "%2e"), (UP + absolute).replace("../", "%252e%252e%252f")),
        *(UP.replace("/", "\\") + absolute, "..\\..\\secret.txt", f"x/{UP}{absolute}", f"....//....//{absolute}"),
        *(f"mlflow-artifacts:/{UP}{absolute}", f"mlflow-artifacts://x/{UP}{absolute}", f"runs:/x/{UP}{absolute}"),
        *(f"models:/{UP}{absolute}", f"dbfs:{absolute}", f"sqlite:///{absolute}", f"s3://../{absolute}"),
        *(f"file://{absolute}#x", f"file://{absolute}?x", f"http://x/#/{UP}{absolute}", f"#{absolute}", f"?{absolute}"),
        *(
            f"{absolute}\0.txt",
            "x\0",
            "link/secret.txt",
            "~/secret.txt",
            "~root",
            "C:\\secret.txt",
            "\\\\host\\x",
            "CON",
        ),
        *(f"; {command} ;", f"$({command})", f"`{command}`", f"| {command}", f"x && {command}", f"\n{command}\n"),
        *(f"models:/x/1; {command}", f"file:///x$({command})", f"' ; {command} ; '", f'"; {command}; "'),
        *(
            f"--output={pwned}",
            "-rf",
            "${HOME}",
            "%(x)s",
            "{0.__class__}",
            "{{7*7}}",
            "' OR 1=1 --",
            "x'; DROP TABLE run; --",
        ),
        *("a" * 5000, "\u202e", "\U0001f600" * 50, "null", "NaN", "-1", "99999999999999999999999", "[]", "{}"),
    ]


@pytest.fixture
def secret(tmp_path: Path, ws: Workspace) -> Path:
    """A file beside the workspace, and a link to its folder inside."""
    outside = tmp_path / "secret.txt"
    outside.write_text(CANARY)
    (Path(ws.root) / "artifacts").mkdir(parents=True, exist_ok=True)
    for folder in (Path(ws.root), Path(ws.root) / "artifacts"):
        (folder / "link").symlink_to(tmp_path)
    return outside


def _outside(tmp_path: Path, ws: Workspace) -> dict[str, bytes]:
    """Everything on the disk below the test's folder but outside the workspace."""
    found = {}
    for folder, names, files in os.walk(tmp_path):
        names[:] = [name for name in names if Path(folder, name) != Path(ws.root)]
        found |= {str(Path(folder, name)): Path(folder, name).read_bytes() for name in files}
        found |= {str(Path(folder, name)): b"" for name in names}
    return found


def _send(client: TestClient, method: str, path: str, fields: dict[str, Any], placed: str) -> httpx.Response:
    target = PLACEHOLDER.sub(lambda _: placed, path)
    if method in ("GET", "HEAD", "OPTIONS"):
        return client.request(method, target, params=fields)
    return client.request(method, target, content=json.dumps(fields), headers={"content-type": "application/json"})


def test_no_text_in_any_field_leads_out_or_runs(ws: Workspace, secret: Path, tmp_path: Path) -> None:
    run = registry.start_run(ws, "fit", "x")
    app = create_app(ws)
    with one_loop(TestClient(app, raise_server_exceptions=False)) as client:
        known = {"run_id": run.id, "run_uuid": run.id, "experiment_id": "0", "name": "x", "version": "1", "user": "x"}
        before = _outside(tmp_path, ws)
        for method, path, names in described(app):
            for text in _outward(secret, tmp_path / "pwned"):
                tried = [dict.fromkeys(names, text)]
                if places := _paths(names, text):
                    tried.append({**{name: known[name] for name in names if name in known}, **places})
                for fields in tried:
                    answer = _send(client, method, path, fields, "x")
                    assert answer.status_code < 500, (method, path, text[:100], answer.text[:300])
                    assert CANARY not in answer.text
            assert _outside(tmp_path, ws) == before, (method, path)
        assert {*tmp_path.iterdir()} == {secret, Path(ws.root)}
        assert not list(Path("/tmp").glob("pwned"))


def _paths(names: list[str], text: str) -> dict[str, str]:
    """The text in the fields that are about places."""
    return {name: text for name in names if any(word in name for word in ("path", "source", "uri", "location", "url"))}


def test_no_path_leads_out(ws: Workspace, secret: Path, tmp_path: Path) -> None:
    app = create_app(ws)
    before = _outside(tmp_path, ws)
    routes = [(method, path) for method, path in every_route(app) if PLACEHOLDER.search(path)]
    routes += [(method, "/api/2.0/mlflow-artifacts/artifacts/{x:path}") for method in ("GET", "PUT", "DELETE")]
    for method, path in routes:
        for text in _outward(secret, tmp_path / "pwned"):
            for placed in (text, text.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")):
                target = PLACEHOLDER.sub(lambda _, placed=placed: placed, path)  # type: ignore[misc]
                status, body = raw(app, method, target, b"{}")
                assert status < 500, (method, target[:200], body[:300])
                assert CANARY.encode() not in body
    assert _outside(tmp_path, ws) == before


@pytest.mark.parametrize(
    "path",
    [
        *("/a/../b", "/a/%2e%2e/b", "/a/%2E%2e/b", "/a/..%2fb", "/a/%252e%252e/b", "/a/%25252e%25252e/b", "/a/..\\b"),
        *("/a/..%5cb", "/a/%2e%2e%5c%2e%2e", "/a/./b", "/a/%2e/b", "/a/..", "/..", "/%00", "/a%0d%0ab", "/a%250a"),
        *("/w/default/../x", "/w/%2e%2e/x", "/w/default/%2e%2e%2f%2e%2e%2fx", "/%" + "25" * 20 + "41"),
    ],
)
def test_paths_that_are_refused_whatever_route_there_is(ws: Workspace, path: str) -> None:
    client = locked_client(ws)

    def reached(request: Request) -> JSONResponse:
        raise AssertionError(request.url)

    add_route(client, "/{rest:path}", reached, "GET")

    assert raw(client.app, "GET", path)[0] == 400


@pytest.mark.parametrize("path", ["/a/v1..2/b", "/a/...", "/a/..b", "/a/100%25", "/a/%C3%A9", "/a/x%20y", "/a/%2541"])
def test_paths_that_only_look_odd_pass(ws: Workspace, path: str) -> None:
    client = TestClient(create_app(ws))
    add_route(client, "/a/{rest:path}", lambda request: JSONResponse({}), "GET")
    assert client.get(path).status_code == 200


SCRIPTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</title><svg/onload=alert(1)>",
    "\u2028</script><script>",
)


def test_scripts_in_names_come_back_as_text_only(ws: Workspace) -> None:
    app = create_app(ws)
    with one_loop(TestClient(app, raise_server_exceptions=False)) as client:
        for script in SCRIPTS:
            run = registry.start_run(ws, "fit", script, tags={script: script, "mlflow.note.content": script})
            registry.finish_run(ws, run.id, artifact=registry.put_bytes(ws, b"x"))
            for method, path, names in described(app):
                for fields in (dict.fromkeys(names, script), {name: run.id for name in names if name == "run_id"}):
                    answer = _send(client, method, path, fields, "x")
                    _is_inert(answer, script)
            for path in ("/" + script, "/w/" + script + "/x", "/api/2.0/mlflow/" + script):
                _is_inert(client.get(path), script)


def _is_inert(answer: httpx.Response, script: str) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    kind = answer.headers.get("content-type", "application/json")
    if kind.startswith("text/html"):
        assert script not in answer.text
    else:
        assert kind.partition(";")[0] in ("application/json", "application/octet-stream", "text/plain", "text/markdown")


def test_a_stored_page_runs_no_script(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    add_route(client, "/stored.html", lambda request: HTMLResponse(SCRIPTS[0]), "GET")
    policy = client.get("/stored.html").headers["content-security-policy"]
    assert "sandbox" in policy.split("; ") and "default-src 'none'" in policy and "allow-scripts" not in policy


def test_every_endpoint_of_the_protocol_is_described() -> None:
    assert ENDPOINTS
    for endpoint in ENDPOINTS:
        assert all(field.kind for field in endpoint.fields)
