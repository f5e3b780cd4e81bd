"""DNS rebinding and pages of other sites (CVE-2025-14279): refused before anything else is looked at."""

from __future__ import annotations

import socket

import pytest
from console_routes import add_route, locked_client
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from raylake.console import Policy, create_app
from raylake.core import ConfigError, Workspace
from raylake.registry import access

WRITE = "/api/raylake/tokens"


def test_names_that_do_not_belong_to_this_server(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    for host in (
        *("evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1:x"),
        *("", " ", "localhost@evil.example", "evil.example#localhost", "localhost/evil", "[::1", "[evil]", "0x7f.1"),
        *("localhost:123456", "user:pass@localhost", "localhost,evil.example", "\xfflocalhost", "testserver", "*"),
    ):
        for method, path in (("GET", "/api/raylake/me"), ("POST", WRITE), ("GET", "/none"), ("OPTIONS", WRITE)):
            answer = client.request(method, path, headers={"host": host.encode("latin-1")})
            assert answer.status_code == 400, (host, answer.text)
            assert answer.json()["error"] == "BadHost"


def test_names_that_do(ws: Workspace) -> None:
    client = TestClient(create_app(ws, policy=Policy(authentication=False, hosts=("lake.example.org",))))
    for host in (
        *("localhost", "LOCALHOST:80", "127.0.0.1:5000", "[::1]:5000", "10.0.0.7", socket.gethostname()),
        *("lake.example.org", "lake.example.org.", "Lake.Example.Org:443"),
    ):
        assert client.get("/api/raylake/me", headers={"host": host}).status_code == 200, host


def test_a_host_given_twice_or_not_at_all(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    for headers in (
        [("host", "localhost"), ("host", "evil.example")],
        [("host", "localhost"), ("host", "localhost")],
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
        [("content-length", "2"), ("content-length", "2000000000")],
    ):
        assert client.post(WRITE, headers=headers, content=b"{}").status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"origin": origin}
            for origin in ("http://evil.example", "null", "https://127.0.0.1.evil.example", "file://")
        ),
        *({"origin": origin} for origin in ("http://127.0.0.1:5001", "http://localhost:5000", "http://127.0.0.1")),
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
    ids=repr,
)
def test_pages_of_other_sites_reach_nothing(ws: Workspace, headers: dict[str, str]) -> None:
    # On loopback no token is needed: what a page sends from this machine's browser must be refused by itself.
    client = TestClient(create_app(ws))
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        told = {**headers, "content-type": kind}
        answer = client.post(WRITE, headers=told, content=b'{"user": "evil", "role": "admin"}')
        assert answer.status_code == 403
        assert client.get("/api/raylake/me", headers=told).status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert access.tokens(ws) == []


def test_a_form_posted_by_a_link_of_another_site(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/api/raylake/me", headers=link).status_code == 200
    assert client.post(WRITE, headers=link, json={"user": "evil"}).status_code == 403


def test_pages_of_the_server_itself(ws: Workspace) -> None:
    client = TestClient(create_app(ws))
    own = {"origin": "http://127.0.0.1:5000", "sec-fetch-site": "same-origin"}
    assert client.post(WRITE, headers=own, json={"user": "ann"}).status_code == 201


def test_sharing_with_other_origins_is_off_unless_they_are_named(ws: Workspace) -> None:
    asked = {"origin": "https://ui.example.org", "access-control-request-method": "POST"}
    assert TestClient(create_app(ws)).options(WRITE, headers=asked).status_code == 403
    client = TestClient(create_app(ws, policy=Policy(origins=("https://ui.example.org",))))
    answer = client.options(WRITE, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://ui.example.org"
    assert "access-control-allow-credentials" not in answer.headers
    assert client.get("/api/raylake/me", headers={"origin": "https://ui.example.org"}).status_code == 200
    assert client.get("/api/raylake/me", headers={"origin": "https://evil.example"}).status_code == 403
    for origin in ("*", "ui.example.org", "https://", "ftp://x", "https://x/path", "null"):
        with pytest.raises(ConfigError, match="origin"):
            Policy(origins=(origin,))


def test_every_answer_carries_the_security_headers(ws: Workspace) -> None:
    client = locked_client(ws)
    add_route(client, "/page", lambda request: JSONResponse({}, headers={"cache-control": "max-age=1"}), "GET")
    for answer in (client.get("/page"), client.get("/none"), client.get("/api/raylake/me", headers={"host": "evil"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "sandbox" in policy and "script-src" not in policy
        assert answer.headers["cache-control"] == "no-store"
    open_client = TestClient(create_app(ws))
    add_route(open_client, "/page", lambda request: JSONResponse({}, headers={"cache-control": "max-age=1"}), "GET")
    assert open_client.get("/page").headers["cache-control"] == "max-age=1"
