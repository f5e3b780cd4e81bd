"""The artifacts proxy: streams, parts, and the attacks that MLflow's server has known."""

from __future__ import annotations

import hashlib
import ntpath
import os
import posixpath
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.console.tracking_server import serving

from raylake import registry
from raylake.console import create_app
from raylake.console.api.mlflow import artifacts
from raylake.core import InvalidName, Workspace

ROOT = "/api/2.0/mlflow-artifacts"
# CVE-2023-1177, -2356, -2780, -6831, CVE-2024-1483, -1558, -1560, CVE-2025-11201
HOSTILE = [
    *("../../etc/passwd", "a/../../etc/passwd", "..", ".", "a/./b", "a//b", "/etc/passwd", "//etc/passwd", "a/.."),
    *("..\\..\\etc\\passwd", "a\\b", "C:/Windows/x", "C:\\Windows\\x", "file:///etc/passwd", "file:/etc/passwd"),
    *("a#/../b", "#", "a?b", "a\0b", "a\nb", "a\rb", "http://h/x", "mlflow-artifacts:/x", "a/" * 600 + "b"),
    *("%2e%2e/%2e%2e/etc/passwd", "a/%2e%2e%2fb", "%252e%252e%252fetc", "a/%25252e%25252e/b", "%5c..%5cetc", "a%23b"),
    *("x" * 256, "%2fetc%2fpasswd", "%00", "....//....//etc/..", "sha256/../x"),
]


@pytest.fixture
def client(ws: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(ws), base_url="http://127.0.0.1", client=("127.0.0.1", 50000)) as found:
        yield found


def put(client: TestClient, path: str, content: bytes) -> None:
    assert client.put(f"{ROOT}/artifacts/{path}", content=content).status_code == 200


def test_a_file_goes_in_and_comes_out(client: TestClient, ws: Workspace) -> None:
    content = os.urandom(3 << 20)
    put(client, "0/run/artifacts/model/w.bin", content)
    put(client, "0/run/artifacts/empty", b"")
    answer = client.get(f"{ROOT}/artifacts/0/run/artifacts/model/w.bin")
    assert answer.content == content and answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert client.get(f"{ROOT}/artifacts/0/run/artifacts/empty").content == b""
    listed = client.get(f"{ROOT}/artifacts", params={"path": "0/run/artifacts"}).json()["files"]
    assert listed == [
        {"path": "empty", "is_dir": False, "file_size": 0},
        {"path": "model", "is_dir": True},
    ]
    assert client.delete(f"{ROOT}/artifacts/0/run/artifacts/model").status_code == 200
    missing = client.get(f"{ROOT}/artifacts/0/run/artifacts/model/w.bin")
    assert missing.status_code == 404 and missing.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert registry.collect_garbage(ws, older_than=timedelta(0)).freed == len(content)


def test_a_stored_page_never_runs_in_a_browser(client: TestClient) -> None:
    put(client, "0/x.html", b"<script>alert(1)</script>")
    answer = client.get(f"{ROOT}/artifacts/0/x.html")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_hostile_paths_reach_nothing(client: TestClient, ws: Workspace, tmp_path: Path) -> None:
    outside = {each for each in tmp_path.rglob("*") if not each.is_relative_to(ws.root)}
    for path in HOSTILE:
        for spelled in (quote(path, safe=""), quote(quote(path, safe=""), safe=""), quote(path, safe="/%")):
            if not httpx.URL(f"http://h/{spelled}").raw_path.endswith(spelled.encode()):
                continue  # the test's client takes plain dot segments out; those are tried on `check_path` below
            for method in ("PUT", "GET", "DELETE"):
                content = b"x" if method == "PUT" else None
                answer = client.request(method, f"{ROOT}/artifacts/{spelled}", content=content)
                assert answer.status_code in (400, 404, 405), (method, spelled, answer.text)
            for kind in ("create", "complete"):
                body = {"path": path, "num_parts": 1, "upload_id": "0" * 32, "parts": [{"part_number": 1, "etag": ""}]}
                answer = client.post(f"{ROOT}/mpu/{kind}/{spelled}", json=body)
                assert answer.status_code in (400, 404, 405), (kind, spelled, answer.text)
        listed = client.get(f"{ROOT}/artifacts", params={"path": path})
        assert listed.status_code == 400 or listed.json() == {"files": []}, (path, listed.text)
    assert {each for each in tmp_path.rglob("*") if not each.is_relative_to(ws.root)} == outside
    assert registry.list_artifacts(ws) == []


@given(path=st.text(st.sampled_from("ab./\\%25eEfF#?:\0 ~"), max_size=14) | st.sampled_from(HOSTILE))
def test_an_accepted_path_stays_inside_however_it_is_decoded(path: str) -> None:
    try:
        registry.check_path(path)
    except InvalidName:
        return
    for _ in range(12):
        for joined in (posixpath.normpath(f"/root/{path}"), ntpath.normpath(f"C:/root/{path}").replace("\\", "/")):
            assert joined.removeprefix("C:").startswith("/root/")
        path = unquote(path)


def test_a_link_in_the_store_is_not_followed(client: TestClient, ws: Workspace) -> None:
    put(client, "0/secret.txt", b"mine")
    (digest,) = [entry.digest for entry in registry.list_artifacts(ws, "0")]
    stored = Path(registry.locate(ws, digest or ""))
    stored.unlink()
    stored.symlink_to("/etc/passwd")
    answer = client.get(f"{ROOT}/artifacts/0/secret.txt")
    assert b"root:" not in answer.content


def test_a_file_and_a_folder_cannot_have_one_name(client: TestClient) -> None:
    put(client, "0/a", b"1")
    assert client.put(f"{ROOT}/artifacts/0/a/b", content=b"2").status_code == 400
    put(client, "0/d/e", b"1")
    assert client.put(f"{ROOT}/artifacts/0/d", content=b"2").status_code == 400
    assert client.get(f"{ROOT}/artifacts/0/d").status_code == 404


def test_parts_in_any_order(client: TestClient) -> None:
    made = client.post(f"{ROOT}/mpu/create/0/run/artifacts", json={"path": "/tmp/up.bin", "num_parts": 3}).json()
    parts = [os.urandom(100_000) for _ in range(3)]
    etags = {}
    for credential in made["credentials"][::-1]:
        number = credential["part_number"]
        etags[number] = client.put(credential["url"], content=parts[number - 1]).headers["etag"]
    body = {
        "path": "up.bin",
        "upload_id": made["upload_id"],
        "parts": [{"part_number": number, "etag": etag} for number, etag in etags.items()],
    }
    wrong = {**body, "parts": [{**body["parts"][0], "etag": "0" * 64}]}
    assert client.post(f"{ROOT}/mpu/complete/0/run/artifacts", json=wrong).status_code == 400
    assert client.post(f"{ROOT}/mpu/complete/0/run/artifacts", json=body).status_code == 200
    assert client.get(f"{ROOT}/artifacts/0/run/artifacts/up.bin").content == b"".join(parts)
    assert client.post(f"{ROOT}/mpu/complete/0/run/artifacts", json=body).status_code == 404


@pytest.mark.parametrize("place", ["a", "b"])
def test_mlflows_client_sends_large_files_in_parts(ws: Workspace, tmp_path: Path, monkeypatch: Any, place: str) -> None:
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    joined: list[int] = []

    def join(ws: Workspace, upload: str, parts: dict[int, str]) -> tuple[str, int]:
        joined.append(len(parts))
        return registry.join_parts(ws, upload, parts)

    monkeypatch.setattr(artifacts, "join_parts", join)
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(1 << 20))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(1 << 20))
    monkeypatch.setenv("MLFLOW_WORKSPACE", place)
    places = {"a": ws, "b": Workspace.open(tmp_path / "b", registry_url="", online_url="")}
    (tmp_path / "large.bin").write_bytes(content := os.urandom((3 << 20) + 5))
    (tmp_path / "small.bin").write_bytes(b"small")
    with serving(places) as address:
        theirs = MlflowArtifactsRepository("mlflow-artifacts:/0/run/artifacts", tracking_uri=address)
        for name in ("large.bin", "small.bin"):
            theirs.log_artifact(str(tmp_path / name), "model")
        assert Path(theirs.download_artifacts("model/large.bin", str(tmp_path))).read_bytes() == content
    assert joined == [4]
    found = {entry.name: entry.size for entry in registry.list_artifacts(places[place], "0/run/artifacts/model")}
    assert found == {"large.bin": len(content), "small.bin": 5}


def test_an_upload_that_is_given_up_leaves_nothing(client: TestClient, ws: Workspace) -> None:
    made = client.post(f"{ROOT}/mpu/create/0", json={"path": "up.bin", "num_parts": 1}).json()
    client.put(made["credentials"][0]["url"], content=b"part")
    assert (
        client.post(f"{ROOT}/mpu/abort/0", json={"path": "up.bin", "upload_id": made["upload_id"]}).status_code == 200
    )
    assert not [each for each in Path(ws.artifacts_url).rglob("*") if each.is_file()]
    for bad in ("../../x", "0" * 31, "", None, 7):
        assert client.post(f"{ROOT}/mpu/abort/0", json={"path": "up.bin", "upload_id": bad}).status_code == 400
    assert client.put(f"{ROOT}/mpu/part/{'0' * 32}/0", content=b"").status_code == 400


def test_our_own_model_folder_is_seen(client: TestClient, ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.json").write_text("{}")
    digest = registry.put_folder(ws, tmp_path / "m")
    run = registry.finish_run(ws, registry.start_run(ws, "fit", "x").id, artifact=digest)
    registry.register(ws, run, name="delay")
    root = f"0/{run.id}/artifacts"
    assert client.get(f"{ROOT}/artifacts", params={"path": root}).json()["files"] == [{"path": "model", "is_dir": True}]
    assert client.get(f"{ROOT}/artifacts/{root}/model/model.json").content == b"{}"
    uri = client.get("/api/2.0/mlflow/model-versions/get-download-uri", params={"name": "delay", "version": "1"})
    path = uri.json()["artifact_uri"].removeprefix("mlflow-artifacts:/")
    assert client.get(f"{ROOT}/artifacts/{path}/model.json").content == b"{}"
    assert client.put(f"{ROOT}/artifacts/{path}/model.json", content=b"x").status_code == 400


SERVER = """
import sys
from raylake.core import InvalidName, Workspace
from raylake.console import Listen, Policy, run_server
ws = Workspace.open(sys.argv[1], registry_url="", online_url="")
run_server({"default": ws}, Listen("127.0.0.1", int(sys.argv[2])), Policy(authentication=False))
"""


@pytest.mark.slow
def test_a_gigabyte_streams_in_constant_memory(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path / "lake"), str(port)])
    url = f"http://127.0.0.1:{port}{ROOT}/artifacts/0/big.bin"
    try:
        _until_up(port)
        httpx.put(url, content=b"warm").raise_for_status()
        before = _peak(server.pid)
        piece, count = bytes(1 << 20), 1024
        httpx.put(url, content=(piece for _ in range(count)), timeout=300).raise_for_status()
        with httpx.stream("GET", url, timeout=300) as answer:
            assert sum(map(len, answer.iter_raw())) == count << 20
        assert _peak(server.pid) - before < 64 << 20
    finally:
        server.terminate()
        server.wait(30)


def _until_up(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not start")


def _peak(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) << 10


def test_a_client_that_goes_away_leaves_nothing(client: TestClient, ws: Workspace) -> None:
    def breaking() -> Iterator[bytes]:
        yield bytes(2 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        client.put(f"{ROOT}/artifacts/0/x", content=breaking())
    assert registry.list_artifacts(ws) == []
