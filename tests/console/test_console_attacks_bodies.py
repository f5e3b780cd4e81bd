"""Bodies and connections that are too large, too deep, packed or too slow."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Iterable

import pytest
from console_routes import LOCKED, add_route, bearer, described, every_route, filled, locked_client, one_loop, running
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from raylake.console import Policy, connection, create_app
from raylake.console.bodies import too_deep
from raylake.console.permissions import is_file
from raylake.core import Workspace
from raylake.registry import access

GIGABYTE = 10**9
UPLOAD = "/api/2.0/mlflow-artifacts/artifacts/x.bin"


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse({"size": len(await request.body())})


def _exchange(port: int, head: str, pieces: Iterable[bytes], wait: float = 10.0) -> tuple[bytes, int]:
    """Send a head and then pieces until the server answers; give the answer and how many bytes were sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        line.sendall(head.encode())
        sent, answer = 0, b""
        line.setblocking(False)
        deadline = time.monotonic() + wait
        for piece in pieces:
            try:
                answer = line.recv(65536)
                break
            except BlockingIOError:
                pass
            try:
                while piece:
                    try:
                        count = line.send(piece)
                    except BlockingIOError:
                        assert time.monotonic() < deadline, "the server neither reads nor answers"
                        time.sleep(0.001)
                        continue
                    sent, piece = sent + count, piece[count:]
            except (ConnectionResetError, BrokenPipeError):
                break
        line.setblocking(True)
        while not _whole(answer):
            try:
                more = line.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            answer += more
        return answer, sent


def _whole(answer: bytes) -> bool:
    """Whether the answer is there with its body, which may come in a packet of its own."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def _head(port: int, path: str, token: str, extra: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: {token}\r\n"
        f"content-type: application/json\r\n{extra}\r\n\r\n"
    )


def test_a_gigabyte_of_json_is_refused_before_it_is_sent(ws: Workspace) -> None:
    token = bearer(ws, "admin")["authorization"]
    with running(ws) as port:
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        announced, sent = _exchange(
            port, _head(port, "/api/raylake/tokens", token, f"content-length: {GIGABYTE}"), [b""]
        )
        assert b" 413 " in announced and sent == 0
        assert b"connection: close" in announced.lower()
        head = _head(port, "/api/raylake/tokens", token, "transfer-encoding: chunked")
        streamed, sent = _exchange(port, head, [chunk] * 1000)
        assert b" 413 " in streamed and sent < 2 * LOCKED.body_bytes
        nobody, sent = _exchange(port, _head(port, "/api/raylake/tokens", "Bearer x", head), [chunk] * 1000)
        assert nobody.startswith(b"HTTP/1.1 4") and sent < 2 * LOCKED.body_bytes


def test_no_route_takes_a_gigabyte_or_a_packed_body(ws: Workspace) -> None:
    app = create_app(ws)
    client = TestClient(app, raise_server_exceptions=False)
    bomb = gzip.compress(b"0" * 10_000_000)
    for method, path in every_route(app):
        if method in ("GET", "HEAD", "OPTIONS"):
            continue
        for length in ("20000000000", "9" * 400, "-1", "1e9", "0x10"):
            answer = client.request(method, filled(path), headers={"content-length": length}, content=b"{}")
            assert answer.status_code in (400, 413), (method, path, length)
        for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x"):
            answer = client.request(method, filled(path), headers={"content-encoding": coding}, content=bomb)
            assert answer.status_code == 415, (method, path, coding)


def test_files_have_a_limit_of_their_own_and_are_streamed(ws: Workspace) -> None:
    seen = []

    async def upload(request: Request) -> JSONResponse:
        async for chunk in request.stream():
            seen.append(len(chunk))
        return JSONResponse({"size": sum(seen)})

    client = TestClient(create_app(ws, policy=Policy(body_bytes=1000, file_bytes=50_000)))
    add_route(client, UPLOAD, upload, "PUT")
    assert client.put(UPLOAD, content=iter([b"x" * 10_000] * 5)).json() == {"size": 50_000}
    assert client.put(UPLOAD, content=b"x" * 50_001).status_code == 413
    assert client.put(UPLOAD, content=iter([b"x" * 10_000] * 6)).status_code == 413


def test_a_route_that_swallows_the_refusal_of_a_file_is_overruled(ws: Workspace) -> None:
    async def careless(request: Request) -> JSONResponse:
        try:
            await request.body()
        except Exception:  # noqa: BLE001 -- what this test is about
            return JSONResponse({"stored": True})
        return JSONResponse({})

    client = TestClient(create_app(ws, policy=Policy(file_bytes=10)))
    add_route(client, UPLOAD, careless, "PUT")
    assert client.put(UPLOAD, content=iter([b"x" * 8] * 2)).status_code == 413


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("depth", [100, 5000])
def test_deep_nesting_is_refused_everywhere(ws: Workspace, opening: bytes, depth: int) -> None:
    app = create_app(ws)
    client = TestClient(app, raise_server_exceptions=False)
    body = opening * depth
    for method, path in every_route(app):
        # A file may hold anything: it is stored, not parsed.
        if method in ("POST", "PUT", "PATCH", "DELETE") and not is_file(filled(path)):
            answer = client.request(method, filled(path), content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400 and answer.json()["error"] == "TooDeep"


def test_depth_is_counted_as_json_does() -> None:
    assert not too_deep(json.dumps([{"key": "[[[{{{", "value": ['\\"[', "]"]}] * 1000).encode(), 3)
    assert too_deep(json.dumps([{"key": "[[[{{{", "value": [['\\"[']]}] * 1000).encode(), 3)
    assert too_deep(b'{"a": [' * 40 + b'"]]]]"' + b"]}" * 40, 64)
    start = time.perf_counter()
    too_deep(json.dumps([{"a": "[" * 10}] * 20_000).encode(), 64)
    assert time.perf_counter() - start < 30  # linear: well below a second on an idle machine


def test_a_hundred_thousand_tags(ws: Workspace) -> None:
    app = create_app(ws)
    with one_loop(TestClient(app, raise_server_exceptions=False)) as client:
        many = [{"key": f"k{n}", "value": "v"} for n in range(100_000)]
        for method, path, names in described(app):
            lists = {name: many for name in names if name in ("tags", "params", "metrics", "datasets", "scopes")}
            if lists and method != "GET":
                fields = {"name": "many", "experiment_id": "0", "run_id": "x", "user": "x", **lists}
                start = time.monotonic()
                answer = client.request(method, filled(path), json=fields)
                assert answer.status_code < 500, (path, answer.text[:200])
                assert time.monotonic() - start < 60


def test_slow_bodies_and_stalled_files_are_given_up(ws: Workspace) -> None:
    token = bearer(ws, "admin")["authorization"]
    policy = Policy(authentication=True, body_seconds=0.3, stall_seconds=0.3)
    with running(ws, policy, **{UPLOAD: _echo}) as port:
        for path in ("/api/raylake/tokens", UPLOAD):
            answer, _ = _exchange(port, _head(port, path, token, "content-length: 100"), [b"{"])
            assert b" 408 " in answer.partition(b"\r\n")[0]
        whole, _ = _exchange(port, _head(port, UPLOAD, token, "content-length: 2"), [b"{}"])
        assert whole.endswith(b'{"size":2}')
    assert len(access.tokens(ws)) == 1


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "])
def test_a_head_that_does_not_come_ends_the_connection(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    with running(ws) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(start)
        began = time.monotonic()
        assert line.recv(1000) == b""
        assert time.monotonic() - began < 8


def test_a_second_head_on_the_same_connection_has_its_time_too(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.4)
    with running(ws) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        request = f"GET /x HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
        for _ in range(3):
            line.sendall(request)
            assert line.recv(65536).startswith(b"HTTP/1.1 401")
            time.sleep(0.3)  # idle between requests is not slow
        line.sendall(request[:20])
        assert line.recv(1000) == b""


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n" + "x: " + "y" * 70_000 + "\r\n\r\n",
        "GET / HTTP/1.1\r\n" + "".join(f"x{n}: y\r\n" for n in range(200)) + "\r\n",
        "GET /" + "a" * 70_000 + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nhost: evil.example\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
    ],
    ids=["long field", "many fields", "long target", "version", "binary", "smuggling", "proxy", "connect"],
)
def test_heads_that_are_too_large_or_malformed(ws: Workspace, head: str) -> None:
    with running(ws) as port:
        answer, _ = _exchange(port, head, [])
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(f"GET /x HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 401")


def test_what_is_no_json_object(ws: Workspace) -> None:
    app = create_app(ws)
    client = TestClient(app, raise_server_exceptions=False)
    for method, path in every_route(app):
        if method not in ("POST", "PUT", "PATCH", "DELETE"):
            continue
        for body in (b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff\xfe", b"{}{}", b'{"user": NaN}', b"\0"):
            answer = client.request(method, filled(path), content=body, headers={"content-type": "application/json"})
            assert answer.status_code < 500, (method, path, body, answer.text)


def test_bodies_arrive_whole(ws: Workspace) -> None:
    client = locked_client(ws)
    add_route(client, "/of-this-test", _echo)
    for body in (b"", b"x", b"x" * 1_000_000):
        answer = client.post("/of-this-test", headers=bearer(ws, "editor"), content=body)
        assert answer.json() == {"size": len(body)}
