"""The server as people start it: a process, MLflow's own client, several workspaces, TLS, a taken port, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylake.cli import main
from raylake.console import Listen, Policy, create_app
from raylake.console.server import decided, url_of
from raylake.core import Workspace
from raylake.registry import access

CLIENT = """
import json, sys
import mlflow
from mlflow.tracking._workspace.client import WorkspaceProviderClient
from mlflow.utils.server_info import fetch_server_info
from mlflow.utils.rest_utils import MlflowHostCreds
from mlflow.tracking import MlflowClient
uri = mlflow.get_tracking_uri()
store = MlflowClient()._tracking_client.store
print(json.dumps({
    "info": fetch_server_info(store.get_host_creds()).data,
    "workspaces": [each.name for each in WorkspaceProviderClient(uri).list_workspaces()],
    "supported": store.supports_workspaces,
}))
"""


@contextmanager
def started(*arguments: str, stop: signal.Signals = signal.SIGTERM) -> Iterator[dict[str, Any]]:
    """`raylake server` in a process of its own; gives what it printed, and its process id."""
    command = [sys.executable, "-m", "raylake.cli.app", "server", "--port", "0", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    try:
        assert text, process.stderr.read()
        yield {**json.loads(text), "pid": process.pid}
    finally:
        process.send_signal(stop)
        # Ctrl-C is how people stop it; systemd and the like expect the signal that they sent.
        assert process.wait(30) == (0 if stop == signal.SIGINT else -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()


def mlflow_client(code: str, **environment: str) -> Any:
    """What a script that uses MLflow's own client prints, as JSON."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_mlflows_client_chooses_a_workspace_by_path_and_by_header(tmp_path: Path) -> None:
    spaces = [f"--workspace={name}={tmp_path / name}" for name in ("team-a", "team-b")]
    with started(*spaces) as told:
        assert told["workspaces"] == ["team-a", "team-b"] and told["authentication"] is False
        for environment in (
            {"MLFLOW_TRACKING_URI": told["url"]},
            {"MLFLOW_TRACKING_URI": f"{told['url']}/w/team-b"},
            {"MLFLOW_TRACKING_URI": told["url"], "MLFLOW_WORKSPACE": "team-b"},
        ):
            found = mlflow_client(CLIENT, **environment)
            assert found["workspaces"] == ["team-a", "team-b"] and found["supported"] is True
            assert found["info"]["store_type"] == "SqlStore"
        tokens = f"{told['url']}/w/team-b/api/raylake/tokens"
        assert httpx.post(tokens, json={"user": "ann"}).status_code == 201
        assert len(access.tokens(Workspace.open(tmp_path / "team-b"))) == 1
        assert access.tokens(Workspace.open(tmp_path / "team-a")) == []
        by_header = httpx.get(f"{told['url']}/api/raylake/tokens", headers={"X-MLFLOW-WORKSPACE": "team-b"})
        assert len(by_header.json()) == 1


def test_mlflows_client_sends_its_token(tmp_path: Path) -> None:
    ws = Workspace.open(tmp_path / "lake")
    secret = access.create_token(ws, "ann", role="viewer").secret
    with started("--workspace", ws.root, "--auth") as told:
        assert told["authentication"] is True
        for environment in (
            {"MLFLOW_TRACKING_TOKEN": secret},
            {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": secret},
        ):
            found = mlflow_client(CLIENT, MLFLOW_TRACKING_URI=told["url"], **environment)
            assert found["workspaces"] == ["default"]
        assert httpx.get(f"{told['url']}/api/3.0/mlflow/server-info").status_code == 401
    assert access.tokens(ws)[0].last_used_at is not None


def test_unknown_workspaces(ws: Workspace, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    other = Workspace.open(tmp_path / "other", registry_url="", online_url="")
    app = create_app({"a": ws, "b": other}, policy=Policy(authentication=True))
    client = TestClient(app)
    ann = {"authorization": f"Bearer {access.create_token(ws, 'ann', role='admin').secret}"}
    for path, headers in (("/w/none/api/raylake/me", {}), ("/api/raylake/me", {"x-mlflow-workspace": "none"})):
        assert client.get(path, headers={**headers, **ann}).status_code == 404
        assert client.get(path, headers=headers).status_code == 401  # strangers learn no names
    assert client.get("/w/a/api/raylake/me", headers=ann).status_code == 200
    assert client.get("/w/b/api/raylake/me", headers=ann).status_code == 401
    assert client.get("/w/a/api/raylake/me", headers={"x-mlflow-workspace": "b", **ann}).status_code == 400
    assert client.get("/api/3.0/mlflow/server-info", headers={"x-mlflow-workspace": "none", **ann}).status_code == 200
    listed = client.get("/api/3.0/mlflow/workspaces", headers=ann).json()
    assert [each["name"] for each in listed["workspaces"]] == ["a"]
    assert client.get("/api/3.0/mlflow/workspaces/a", headers=ann).json()["workspace"]["name"] == "a"
    hidden = client.get("/api/3.0/mlflow/workspaces/b", headers=ann)
    assert hidden.status_code == 404 and hidden.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"


def test_a_taken_port_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["server", "--workspace", str(tmp_path), "--port", port]) == 1
        assert main(["server", "--workspace", str(tmp_path), "--host", "203.0.113.1", "--tls-cert", "x"]) == 1
        assert main(["server", "--workspace", str(tmp_path), "--host", "no-such.invalid", "--plain-http"]) == 1
    told = capsys.readouterr().err
    assert f"127.0.0.1 port {port}" in told and "--port" in told
    assert "needs its key" in told and "no-such.invalid" in told and "Traceback" not in told


def test_what_is_asked_for_wrongly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--workspace", str(tmp_path / "a"), "--workspace", str(tmp_path / "b")]
    assert main(["server", *twice]) == 1
    assert "two workspaces are called 'default'" in capsys.readouterr().err
    for name in ("Team", "a b", "", "..", "a@b"):
        assert main(["server", "--workspace", f"{name}={tmp_path / 'never'}"]) == 1
        assert "workspace name" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()
    (tmp_path / "file").write_text("no certificate")
    files = ["--tls-cert", str(tmp_path / "file"), "--tls-key", str(tmp_path / "file")]
    assert main(["server", "--workspace", str(tmp_path / "a"), "--port", "0", *files]) == 1
    assert "TLS files" in capsys.readouterr().err


def test_plain_http_beyond_loopback_has_to_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--workspace", str(tmp_path), "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "--plain-http" in capsys.readouterr().err
    with started("--workspace", str(tmp_path), "--host", "0.0.0.0", "--plain-http") as told:
        assert told["authentication"] is True
        assert httpx.get(f"{told['url']}/api/raylake/me").status_code == 401


def test_authentication_is_on_where_others_may_come_in() -> None:
    for listen, policy, on in (
        (Listen(), Policy(), False),
        (Listen("localhost"), Policy(), False),
        (Listen("::1"), Policy(), False),
        (Listen(proxy="127.0.0.1"), Policy(), True),
        (Listen(), Policy(hosts=("lake.example.org",)), True),
        (Listen("0.0.0.0"), Policy(), True),
        (Listen("::"), Policy(), True),
        (Listen("lake.example.org"), Policy(), True),
        (Listen("0.0.0.0"), Policy(authentication=False), False),
        (Listen(), Policy(authentication=True), True),
    ):
        assert decided(listen, policy).authentication is on, (listen, policy)
    assert url_of(Listen("::", tls=(Path("a"), Path("b"))), 1) == "https://[::1]:1"


def test_tls(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    with started("--workspace", str(tmp_path / "lake"), "--tls-cert", str(cert), "--tls-key", str(key)) as told:
        assert told["url"].startswith("https://127.0.0.1:")
        answer = httpx.get(f"{told['url']}/api/raylake/me", verify=ssl.create_default_context(cafile=str(cert)))
        assert answer.status_code == 200 and "strict-transport-security" in answer.headers
        assert "server" not in answer.headers


def test_requests_in_flight_are_answered_when_the_server_stops(tmp_path: Path) -> None:
    with started("--workspace", str(tmp_path)) as told:
        port = int(told["url"].rpartition(":")[2])
        body = b'{"user": "ann", "note": "' + b"x" * 1000 + b'"}'
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            head = "POST /api/raylake/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            line.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:10])
            httpx.get(f"{told['url']}/api/raylake/me")
            os.kill(told["pid"], signal.SIGTERM)
            line.sendall(body[10:])
            assert line.recv(65536).startswith(b"HTTP/1.1 201")
    assert [token.user for token in access.tokens(Workspace.open(tmp_path))] == ["ann"]


def test_behind_a_proxy_the_log_names_the_client(tmp_path: Path) -> None:
    forwarded = {"x-forwarded-for": "198.51.100.9"}
    for arguments, address in ((["--proxy", "127.0.0.1", "--no-auth"], "198.51.100.9"), ([], "127.0.0.1")):
        lake = tmp_path / str(len(arguments))
        with started("--workspace", str(lake), *arguments, stop=signal.SIGINT) as told:
            assert httpx.post(f"{told['url']}/api/raylake/tokens", json={"user": "a"}, headers=forwarded).is_success
        (entry,) = access.audit(Workspace.open(lake))
        assert entry.address == address


def test_tokens_and_audit_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ["--workspace", str(tmp_path)]

    def told(*words: str) -> Any:
        assert main([*words, *lake, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    made = told("token", "create", "ann", "--role", "editor", "--scope", "read", "--note", "[/red]", "--days", "7")
    assert access.verify(Workspace.open(tmp_path), made["secret"]).scopes == ("read",)
    listed = told("token", "list")
    assert listed[0]["state"] == "active" and "secret" not in listed[0] and "digest" not in listed[0]
    assert told("token", "revoke", made["id"])[0]["state"] == "revoked"
    assert told("token", "list", "--active") == []
    assert [each["action"] for each in told("audit")] == ["token.revoke", "token.create"]
    assert told("audit", "--user", "nobody") == [] and told("audit", "--since", "2999-01-01") == []
    for words in (["token", "list"], ["audit"], ["token", "create", "bob", "--never-expires"]):
        assert main([*words, *lake]) == 0
    out = capsys.readouterr().out
    assert "never expires" in out and "rl_" in out and "[/red]" in out.replace("\n", "")
    for words in (["token", "create", "a b"], ["token", "revoke", "none"], ["token", "create", "a", "--role", "root"]):
        assert main([*words, *lake]) == 1
