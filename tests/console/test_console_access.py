"""Nobody gets in without a token, and nobody beyond a role: proved for every route that the application has."""

from __future__ import annotations

import base64
import time

import pytest
from console_routes import GUESSED, METHODS, add_route, bearer, every_route, filled, locked_client, picture
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from raylake.console import Policy, create_app
from raylake.core import Workspace
from raylake.registry import access

REFUSED = {400, 401, 429}
# Routes of the tests' own, which no layer has.
CREATE, POINT = "/api/2.0/mlflow/of-this-test/create", "/of-this-test/runs/log-metric"


def test_no_route_answers_without_a_token(ws: Workspace) -> None:
    app = create_app(ws, policy=Policy(authentication=True, failures=10**9))
    routes = [(method, filled(path)) for method, path in every_route(app)]
    assert len(routes) > 10
    client = TestClient(app, raise_server_exceptions=False)
    before = picture(ws)
    for prefix in ("", "/w/default"):
        for method, path in [*routes, *((method, path) for path in GUESSED for method in METHODS)]:
            for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Basic Og=="}):
                answer = client.request(method, prefix + path, headers=headers)
                assert answer.status_code in REFUSED, f"{method} {prefix}{path} answers {answer.status_code}"
                assert method == "HEAD" or answer.json()["error"] in ("NotAuthenticated", "BadPath")
    assert picture(ws) == before


def test_no_socket_is_opened_without_a_token(ws: Workspace) -> None:
    with pytest.raises(WebSocketDisconnect), locked_client(ws).websocket_connect("/ws"):
        pass


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "bearer null", "Bearer undefined", "Basic", "Basic !!!", "Digest x", "Token x"),
        *("Basic YWRtaW46", "Basic YWRtaW46cGFzc3dvcmQxMjM0", "Basic YWRtaW46YWRtaW4=", "Bearer rl_0_0"),
        "Bearer rl_" + "0" * 16 + "_" + "A" * 43,
        "Bearer " + "x" * 8000,
    ],
)
def test_empty_default_and_invented_credentials(ws: Workspace, authorization: str) -> None:
    answer = locked_client(ws).get("/api/raylake/me", headers={"authorization": authorization})
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]


def test_bearer_and_basic_are_accepted(ws: Workspace) -> None:
    secret = access.create_token(ws, "ann", role="editor").secret
    client = locked_client(ws)
    for user in ("ann", "", "somebody"):
        basic = base64.b64encode(f"{user}:{secret}".encode()).decode()
        answer = client.get("/api/raylake/me", headers={"authorization": f"Basic {basic}"})
        assert answer.json()["user"] == "ann"
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = client.get("/api/raylake/me", headers={"authorization": f"{scheme} {secret}"})
        assert answer.json()["permissions"] == ["read", "write"]


def test_a_viewer_changes_nothing_on_any_route(ws: Workspace) -> None:
    client, headers = locked_client(ws), bearer(ws, "viewer")
    routes = list(every_route(client.app))  # type: ignore[arg-type]
    before = picture(ws)
    for method, path in routes:
        for body in ({}, {"name": "x", "user": "x", "run_id": "x", "key": "x", "value": "x"}):
            answer = client.request(method, filled(path), headers=headers, json=body)
            assert answer.status_code < 500, f"{method} {path}: {answer.text}"
    assert picture(ws) == before


def test_an_editor_does_not_administer(ws: Workspace) -> None:
    client, editor, admin = locked_client(ws), bearer(ws, "editor"), bearer(ws, "admin")
    for method, path in (("GET", "/tokens"), ("POST", "/tokens"), ("DELETE", "/tokens/x"), ("GET", "/audit")):
        answer = client.request(method, f"/api/raylake{path}", headers=editor, json={"user": "x", "role": "admin"})
        assert answer.status_code == 403 and answer.json()["error_code"] == "PERMISSION_DENIED"
        answer = client.request(method, f"/api/raylake{path}", headers=admin, json={"user": "x"})
        assert answer.status_code in (200, 201, 404)


def test_scopes_hold(ws: Workspace) -> None:
    client, narrow = locked_client(ws), bearer(ws, "admin", scopes=["read"])
    assert client.get("/api/raylake/me", headers=narrow).json()["permissions"] == ["read"]
    assert client.get("/api/raylake/tokens", headers=narrow).status_code == 403


def test_an_admin_makes_and_revokes_tokens_over_http(ws: Workspace) -> None:
    client, admin = locked_client(ws), bearer(ws, "admin")
    made = client.post("/api/raylake/tokens", headers=admin, json={"user": "bob", "role": "editor"})
    assert made.status_code == 201
    secret, token_id = made.json()["secret"], made.json()["token"]["id"]
    bob = {"authorization": f"Bearer {secret}"}
    assert client.get("/api/raylake/me", headers=bob).json()["user"] == "bob"
    assert client.delete(f"/api/raylake/tokens/{token_id}", headers=admin).json()["revoked_at"]
    assert client.get("/api/raylake/me", headers=bob).status_code == 401
    listed = client.get("/api/raylake/tokens", headers=admin)
    assert {each["user"] for each in listed.json()} == {"bob", "admin"}
    assert secret not in listed.text and "digest" not in listed.text


def test_a_revocation_elsewhere_is_noticed_within_the_bound(ws: Workspace) -> None:
    from raylake.console.doorman import CACHE_SECONDS, Doorman

    made = access.create_token(ws, "ann")
    now = [100.0]
    doorman = Doorman(20, clock=lambda: now[0])

    def admitted() -> bool:
        import asyncio

        from raylake.console.refusal import Refusal

        try:
            asyncio.run(doorman.admit("default", ws, f"Bearer {made.secret}".encode(), "10.0.0.7"))
        except Refusal as refusal:
            assert refusal.status == 401
            return False
        return True

    assert admitted()
    access.revoke_token(ws, made.token.id)
    now[0] += CACHE_SECONDS - 0.01
    assert admitted()
    now[0] += 0.01
    assert not admitted()


def test_guessing_is_slowed_down_and_neighbours_go_on(ws: Workspace) -> None:
    app = create_app(ws, policy=Policy(authentication=True, failures=5))
    neighbour = TestClient(app, client=("10.0.0.7", 1))
    good = bearer(ws, "viewer")
    assert neighbour.get("/api/raylake/me", headers=good).status_code == 200
    wrong = {"authorization": "Bearer wrong"}
    assert [neighbour.get("/api/raylake/me", headers=wrong).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    limited = neighbour.get("/api/raylake/me", headers=bearer(ws, "viewer"))
    assert limited.status_code == 429 and 1 <= int(limited.headers["retry-after"]) <= 61
    assert neighbour.get("/api/raylake/me", headers=good).status_code == 200
    other = TestClient(app, client=("10.0.0.8", 1))
    assert other.get("/api/raylake/me", headers=bearer(ws, "viewer")).status_code == 200


def test_only_loopback_needs_no_token_by_default(ws: Workspace) -> None:
    app = create_app(ws)
    for address, status in (("127.0.0.1", 200), ("::1", 200), ("10.0.0.7", 401), ("2001:db8::1", 401), ("x", 401)):
        client = TestClient(app, client=(address, 1))
        assert client.get("/api/raylake/me").status_code == status


def test_an_unreachable_registry_lets_nobody_in(ws: Workspace) -> None:
    import dataclasses

    broken = dataclasses.replace(ws, registry_url="postgresql+psycopg://nobody@127.0.0.1:1/none")
    answer = locked_client(broken).get(
        "/api/raylake/me", headers={"authorization": "Bearer rl_" + "0" * 16 + "_" + "A" * 43}
    )
    assert answer.status_code == 503


def _made(request: Request) -> JSONResponse:
    return JSONResponse({"run": {"info": {"run_id": "a1", "secret": "s3cret"}}})


def test_changes_are_audited_with_who_what_and_where(ws: Workspace) -> None:
    with locked_client(ws, client=("10.0.0.7", 1)) as client:
        add_route(client, CREATE, _made)
        editor = bearer(ws, "editor")
        body = {"experiment_id": "0", "tags": [{"key": "k", "value": "s3cret"}], "description": "s3cret"}
        client.post(CREATE, headers=editor, json=body)
        client.post(CREATE, headers=editor, json={})
        client.post("/api/2.0/mlflow/none/create", headers=editor, json=body)
        client.get("/api/raylake/me", headers=editor)
        second, first = [entry for entry in access.audit(ws) if entry.address != "local"]
        assert (first.user, first.address, first.status) == ("editor", "10.0.0.7", 200)
        assert first.action == f"POST {CREATE}"
        assert first.token == access.tokens(ws)[0].id
        assert (first.subject, second.subject) == ({"experiment_id": "0"}, {"run_id": "a1"})
        assert "s3cret" not in repr([first, second])
        told = client.get("/api/raylake/audit", headers=bearer(ws, "admin"), params={"user": "editor", "limit": 1})
        assert [each["id"] for each in told.json()] == [second.id]


def test_tokens_made_over_http_are_audited_once(ws: Workspace) -> None:
    client, admin = locked_client(ws, client=("10.0.0.7", 1)), bearer(ws, "admin")
    client.post("/api/raylake/tokens", headers=admin, json={"user": "bob", "note": "s3cret"})
    client.post("/api/raylake/tokens", headers=admin, json={"user": ""})
    (entry,) = [entry for entry in access.audit(ws) if entry.address != "local"]
    assert (entry.user, entry.address, entry.action, entry.subject["user"]) == (
        "admin",
        "10.0.0.7",
        "token.create",
        "bob",
    )
    assert "s3cret" not in repr(entry)


def test_data_points_are_counted_per_run(ws: Workspace) -> None:
    with locked_client(ws) as client:
        add_route(client, POINT, lambda request: JSONResponse({}))
        editor = bearer(ws, "editor")
        for number in range(30):
            body = {"run_id": f"r{number % 2}", "key": "loss", "value": 0.5}
            assert client.post(POINT, headers=editor, json=body).status_code == 200
    entries = [entry for entry in access.audit(ws) if entry.action.endswith("log-metric")]
    assert sum(entry.count for entry in entries) == 30
    assert {entry.subject["run_id"] for entry in entries} == {"r0", "r1"} and len(entries) < 12


def test_when_a_token_was_last_used_is_recorded(ws: Workspace) -> None:
    with locked_client(ws) as client:
        headers = bearer(ws, "viewer")
        client.get("/api/raylake/me", headers=headers)
    assert access.tokens(ws)[0].last_used_at is not None


def test_a_change_that_cannot_be_audited_is_not_confirmed(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from raylake.console import trail
    from raylake.core import StorageError

    def full(ws: Workspace, entries: object) -> None:
        raise StorageError("disk full")

    client, editor = locked_client(ws), bearer(ws, "editor")
    add_route(client, CREATE, _made)
    monkeypatch.setattr(trail, "record_changes", full)
    answer = client.post(CREATE, headers=editor, json={})
    assert answer.status_code == 503 and "not audited" in answer.json()["message"]
    assert "a1" not in answer.text


def test_checking_a_known_token_needs_no_look_at_the_registry(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from raylake.console import doorman

    asked = []

    def counted(ws: Workspace, secret: str) -> access.Token:
        asked.append(time.monotonic())
        return access.verify(ws, secret)

    monkeypatch.setattr(doorman, "verify", counted)
    client, headers = locked_client(ws), bearer(ws, "viewer")
    for _ in range(10):
        assert client.get("/api/raylake/me", headers=headers).status_code == 200
    assert len(asked) == 1
