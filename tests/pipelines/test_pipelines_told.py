"""Notifications against real servers on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pipeline_cases import square

from raylake import pipelines
from raylake.core import PipelineFailed, PipelineInvalid, Workspace
from raylake.pipelines import Email, Notify, Slack, Webhook
from raylake.testing.pipelines import LocalExecutor, LocalLauncher

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests").decode()


@contextmanager
def http_server(answers: list[int]) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    seen: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(({key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", seen
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """As much of SMTP (RFC 5321) as a client needs to hand over a mail."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line.strip().upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        text += part
                    mails.append(text.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                if word == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], mails
    finally:
        server.shutdown()
        server.server_close()


@pipelines.step
def breaks() -> int:
    raise ValueError("no data today")


def fail(ws: Workspace, *notify: Notify) -> str:
    pipe = pipelines.pipeline(name="daily", notify=notify)(lambda: breaks())
    with pytest.raises(PipelineFailed) as caught:
        pipelines.drive(ws, pipelines.submit(ws, pipe), executor=LocalExecutor())
    return caught.value.run_id


def test_a_signed_webhook_is_tried_again(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with http_server([503]) as (url, seen):
        run_id = fail(ws, Notify(Webhook(url, secret_env="HOOK_SECRET")))
        (pending,) = pipelines.notifications(ws, run_id)
        assert (pending.state, pending.attempts[0]["answer"].strip()) == ("pending", "503")
        assert pipelines.deliver_due(ws) == 0, "not due yet"
        assert pipelines.deliver_due(ws, now=datetime.now(UTC) + timedelta(seconds=61)) == 1
    (done,) = pipelines.notifications(ws, run_id)
    assert (done.state, [each["ok"] for each in done.attempts]) == ("delivered", [False, True])
    (first, _), (headers, body) = seen
    assert first["webhook-id"] == headers["webhook-id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"a secret of the tests", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert told["type"] == "pipeline.failed"
    assert "no data today" in told["data"]["error"]
    assert SECRET not in str(done)


def test_slack_and_mail(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server([]) as (url, seen), mail_server() as (port, mails):
        monkeypatch.setenv("SLACK_URL", url)
        mail = Email(("ops@example.org",), "raylake@example.org", "127.0.0.1", port)
        run_id = fail(ws, Notify(Slack("env:SLACK_URL")), Notify(mail), Notify(Slack(url), on=("finished",)))
    ((_, body),) = seen
    assert json.loads(body)["text"].startswith(f"pipeline daily failed (run {run_id[:8]})")
    assert "Subject: pipeline daily failed" in mails[0]
    assert "no data today" in mails[0]


def test_a_server_that_never_answers_is_given_up(ws: Workspace) -> None:
    run_id = fail(ws, Notify(Webhook("http://127.0.0.1:9/closed")))
    for hours in range(1, 8):
        pipelines.deliver_due(ws, now=datetime.now(UTC) + timedelta(hours=10 * hours))
    (given_up,) = pipelines.notifications(ws, run_id)
    assert (given_up.state, len(given_up.attempts)) == ("failed", 7)


def test_late_runs_are_told_once(ws: Workspace) -> None:
    with http_server([]) as (url, seen):
        pipe = pipelines.pipeline(name="slow", notify=Notify(Slack(url), on="late"))(lambda: square(2))
        start = datetime(2026, 1, 1, tzinfo=UTC)
        pipelines.schedule(ws, "s", pipe, pipelines.Every(3600), late_after=600, now=start)
        for minute in (60, 65, 71, 75):
            pipelines.tick(ws, LocalLauncher(hold=True), start + timedelta(minutes=minute))
    assert ["is late" in json.loads(body)["text"] for _, body in seen] == [True]


def test_wrong_occasions() -> None:
    with pytest.raises(PipelineInvalid, match="occasion 'broken' is not valid"):
        Notify(Slack("x"), on=("broken",))
