"""Webhook deliveries against a real receiver, and what must never be reached."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylake import registry
from raylake.core import ConfigError, DataError, Workspace, outbound
from raylake.registry import delivery, engine
from raylake.registry.schema import WebhookDeliveryRow


class Receiver:
    """An HTTP server that answers what it is told to and remembers what came."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"x" * 200_000 if status == 200 else b"no")

            def log_message(self, *arguments: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()


@pytest.fixture
def open_ws(ws: Workspace) -> Workspace:
    """A workspace that allows webhooks to this machine."""
    return dataclasses.replace(ws, outbound_allow="127.0.0.0/8")


def hooked(ws: Workspace, receiver: Receiver, secret: str = "key") -> str:
    return registry.create_webhook(ws, "ci", receiver.url, ["registered_model.created"], secret=secret).id


def hurry(ws: Workspace) -> None:
    """Let every pause be over."""
    with engine.writing(ws) as session:
        for row in session.query(WebhookDeliveryRow).all():
            row.due_at = engine.now()


def test_a_message_is_signed_as_mlflow_signs(open_ws: Workspace, receiver: Receiver) -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    hook = hooked(open_ws, receiver)
    registry.create_model(open_ws, "iris", tags={"a": "b"}, description="d")
    assert registry.deliver_due(open_ws) == 1 and registry.deliver_due(open_ws) == 0
    ((headers, body),) = receiver.got
    (told,) = registry.deliveries(open_ws, hook)
    message = json.loads(body)
    assert (message["entity"], message["action"]) == ("registered_model", "created")
    assert message["data"] == {"name": "iris", "tags": {"a": "b"}, "description": "d"}
    assert headers["x-mlflow-delivery-id"] == told.id
    expected = _generate_hmac_signature("key", told.id, headers["x-mlflow-timestamp"], body.decode())
    assert headers["x-mlflow-signature"] == expected
    assert (told.status, told.attempts, told.response_status) == ("delivered", 1, 200)
    assert "key" not in repr(registry.webhook(open_ws, hook))


def test_a_failure_is_tried_again_with_the_same_id(open_ws: Workspace, receiver: Receiver) -> None:
    hook = hooked(open_ws, receiver, secret="")
    receiver.answers = [(503, {}), (429, {})]
    registry.create_model(open_ws, "iris")
    for attempt in (1, 2, 3):
        assert registry.deliver_due(open_ws) == 1
        (told,) = registry.deliveries(open_ws, hook)
        assert told.attempts == attempt
        if attempt < 3:
            assert registry.deliver_due(open_ws) == 0  # the pause is not over
            assert 0 < (told.due_at - engine.now()).total_seconds() < 4
            hurry(open_ws)
    assert told.status == "delivered" and len({headers["x-mlflow-delivery-id"] for headers, _ in receiver.got}) == 1
    assert "x-mlflow-signature" not in receiver.got[0][0]


def test_it_is_given_up_in_the_end(open_ws: Workspace, receiver: Receiver) -> None:
    hook = hooked(open_ws, receiver)
    receiver.answers = [(500, {})] * 9
    registry.create_model(open_ws, "iris")
    for _ in range(9):
        hurry(open_ws)
        registry.deliver_due(open_ws)
    (told,) = registry.deliveries(open_ws, hook)
    assert (told.status, told.attempts, told.error) == ("failed", delivery.MOST_ATTEMPTS, "answered 500: no")


@pytest.mark.parametrize("status", [302, 307, 400, 404, 410])
def test_what_will_not_change_is_not_tried_again(open_ws: Workspace, receiver: Receiver, status: int) -> None:
    hook = hooked(open_ws, receiver)
    receiver.answers = [(status, {"Location": "http://169.254.169.254/latest/meta-data"})]
    registry.create_model(open_ws, "iris")
    registry.deliver_due(open_ws)
    (told,) = registry.deliveries(open_ws, hook)
    assert (told.status, told.attempts, told.response_status) == ("failed", 1, status) and len(receiver.got) == 1


def test_a_process_that_dies_while_it_sends_loses_nothing(open_ws: Workspace, receiver: Receiver) -> None:
    hook = hooked(open_ws, receiver)
    registry.create_model(open_ws, "iris")
    assert len(delivery._take(open_ws, 10)) == 1  # and dies
    assert registry.deliver_due(open_ws) == 0
    hurry(open_ws)  # the lease is over
    assert registry.deliver_due(open_ws) == 1
    assert registry.deliveries(open_ws, hook)[0].status == "delivered"


def test_many_couriers_send_a_message_once(open_ws: Workspace, receiver: Receiver) -> None:
    hooked(open_ws, receiver)
    for number in range(12):
        registry.create_model(open_ws, f"m{number}")
    threads = [threading.Thread(target=registry.deliver_due, args=(open_ws,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 12 == len({headers["x-mlflow-delivery-id"] for headers, _ in receiver.got})


def test_trying_a_webhook(open_ws: Workspace, receiver: Receiver) -> None:
    hook = hooked(open_ws, receiver)
    answer = registry.try_webhook(open_ws, hook, "model_version.created")
    assert answer.ok and len(answer.body) == outbound.LONGEST_ANSWER
    assert registry.deliveries(open_ws, hook) == []
    with pytest.raises(DataError, match="webhook event"):
        registry.try_webhook(open_ws, hook, "model.exploded")


INSIDE = [
    *("https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://0.0.0.0/", "https://0/", "https://[::]/"),
    *("https://169.254.169.254/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/"),
    *("https://100.64.0.1/", "https://[fd00::1]/", "https://[fe80::1]/", "https://[::ffff:127.0.0.1]/"),
    *("https://[64:ff9b::a9fe:a9fe]/", "https://[2002:7f00:1::]/", "https://224.0.0.1/", "https://255.255.255.255/"),
    *("https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://017700000001/"),
]


@pytest.mark.parametrize("url", INSIDE)
def test_what_is_inside_is_not_reached(ws: Workspace, url: str) -> None:
    answer = outbound.post(url, b"", {})
    assert answer.status is None and ("refused" in answer.error or "cannot be resolved" in answer.error)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://h/", "file:///etc/passwd", "gopher://h/", "https://", "https://u:p@h.example.org/", "http://h.org/",
     "https://h.example.org\\@127.0.0.1/", "https://h.example.org/\r\nX: y", "https://h:99999/", "javascript:alert(1)",
     "https://127.0.0.1/", "https://h.example.org/" + "x" * 3000],
)  # fmt: skip
def test_a_url_that_is_refused_when_it_is_named(ws: Workspace, url: str) -> None:
    with pytest.raises(DataError):
        registry.create_webhook(ws, "ci", url, ["registered_model.created"])
    assert registry.webhooks(ws) == []


def test_a_name_that_points_inside_later_is_not_followed(
    ws: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is checked, this machine when it is asked again."""
    asked: list[str] = []

    def rebinding(host: str, port: Any, *rest: Any, **options: Any) -> list[Any]:
        asked.append(host)
        address = "203.0.113.1" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"https://rebind.example.org:{receiver.server.server_port}/"
    outbound.post(url, b"", {}, seconds=0.5)
    assert asked.count("rebind.example.org") == 1 and receiver.got == []
    answer = outbound.post(url, b"", {}, seconds=0.5)
    assert answer.final and "is 127.0.0.1, which is not a public address" in answer.error and receiver.got == []


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: found)
    assert outbound.post("https://two.example.org/", b"", {}).final


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_what_it_wraps(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    translated = ipaddress.IPv6Address((0x64FF9B << 96) | int(address))
    assert outbound.is_public(mapped) == outbound.is_public(address) == outbound.is_public(translated)


def test_the_setting_is_checked(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="outbound_allow"):
        Workspace.open(tmp_path, outbound_allow="10.0.0.0/99", registry_url="", online_url="")
