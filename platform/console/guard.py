"""The one door of the application: every request passes it, whatever route answers.

In this order: the host, the web origin, the path, the workspace, the caller, what the caller may do, the body. Only
then a route sees the request; on the way back come the security headers and the entry in the audit log.
Pure ASGI and without pydantic, since it is on the way of every metric that is logged.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core import RaylakeError, Workspace
from ..registry.access import AuditEntry
from .bodies import Disconnected, Metered, check_head, gather, replayed
from .context import CALLER, WORKSPACE
from .doorman import Caller, Doorman, anonymous
from .hosts import Hosts, is_loopback
from .permissions import audits_itself, is_file, is_point, permission_of
from .places import HEADER, Places, check_path
from .policy import Policy
from .refusal import Refusal
from .trail import Trail, created_by, run_of, subject_of

_READ = (
    *(b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"authorization"),
    *(b"content-length", b"content-encoding", HEADER),
)
_WANTED = frozenset(_READ)
# What answers say when the route says nothing else. `sandbox` keeps scripts in stored files from running.
_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'; sandbox",
    ),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_DEFAULTS = frozenset(name for name, _ in _SECURITY)
_STRICT = (b"strict-transport-security", b"max-age=31536000")
_KEPT = 64 * 1024  # bytes of an answer that are searched for the id of what was made
_SERVER_INFO = "/api/3.0/mlflow/server-info"


class Guard:
    """Lets requests in, or refuses them; see the module.

    Args:
        app: The application behind the door.
        places: The workspaces.
        policy: What is let in.
        doorman: Checks tokens.
        trail: The audit log.
    """

    def __init__(self, app: ASGIApp, places: Places, policy: Policy, doorman: Doorman, trail: Trail) -> None:
        self._app = app
        self._places = places
        self._policy = policy
        self._doorman = doorman
        self._trail = trail
        self._hosts = Hosts(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            answer = _Answer(send, secure=scope.get("scheme") == "https")
            try:
                await self._pass(scope, receive, answer)
            except Refusal as refusal:
                answer.drop()
                if not answer.started:
                    await refusal.answer(answer, close=scope["method"] not in ("GET", "HEAD"))
            except Disconnected:
                return
        else:
            # No route speaks WebSocket; closing before accepting answers 403.
            await send({"type": "websocket.close", "code": 1008})

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        head = _head(scope)
        method: str = scope["method"]
        self._hosts.check(head, method)
        check_path(scope["path"])
        name, path = self._places.find(scope, head.get(HEADER))
        ws, caller = await self._enter(name, path, scope, head)
        needed = permission_of(method, path)
        if needed not in caller.permissions:
            told = f"{caller.user} may {', '.join(caller.permissions)} in workspace {name!r}; this needs {needed!r}"
            raise Refusal(403, "AccessDenied", told)
        scope[WORKSPACE], scope[CALLER] = ws, caller
        if needed == "read":
            if method == "POST":
                receive = replayed(await self._body(head, receive), receive)
            await self._app(scope, receive, answer)
            return
        await self._change(scope, receive, answer, head, path)

    async def _enter(self, name: str, path: str, scope: Scope, head: Mapping[bytes, bytes]) -> tuple[Workspace, Caller]:
        client = scope.get("client")
        address: str = client[0] if client else ""
        ws = self._places.workspaces.get(name)
        if ws is None and path == _SERVER_INFO:
            # MLflow's client asks what the server can do before it knows whether its workspace exists.
            name, ws = self._places.default, self._places.workspaces[self._places.default]
        needs_token = self._policy.authentication
        if needs_token is None:
            needs_token = not is_loopback(address)
        if not needs_token:
            caller = anonymous(address)
        else:
            caller = await self._identify(name, ws, head.get(b"authorization"), address)
        if ws is None:
            raise Refusal(404, "NotFound", f"there is no workspace {name!r:.200} on this server")
        return ws, caller

    async def _identify(self, name: str, ws: Workspace | None, authorization: bytes | None, address: str) -> Caller:
        if ws is None:
            # Who has no token learns nothing of which workspaces exist: the default one checks the token.
            name, ws = self._places.default, self._places.workspaces[self._places.default]
        caller = await self._doorman.admit(name, ws, authorization, address)
        self._trail.used(ws, caller.token_id)
        return caller

    async def _body(self, head: Mapping[bytes, bytes], receive: Receive) -> bytes:
        check_head(head, self._policy.body_bytes)
        return await gather(receive, self._policy)

    async def _change(
        self, scope: Scope, receive: Receive, answer: _Answer, head: Mapping[bytes, bytes], path: str
    ) -> None:
        ws, caller = scope[WORKSPACE], scope[CALLER]
        action = f"{scope['method']} {path}"
        if is_file(path):
            check_head(head, self._policy.file_bytes)
            body, metered = b"", Metered(receive, self._policy)
            answer.metered, receive = metered, metered
        else:
            body = await self._body(head, receive)
            receive = replayed(body, receive)
        if audits_itself(path):
            await self._app(scope, receive, answer)
            return
        if is_point(path):
            await self._app(scope, receive, answer)
            if 0 < answer.status < 400:
                self._trail.point(ws, caller, action, run_of(body))
            return
        answer.hold()
        await self._app(scope, receive, answer)
        if answer.status < 400 and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            subject = subject_of(body) or created_by(answer.kept())
            entry = AuditEntry(caller.user, caller.token_id, caller.address, action, subject, answer.status)
            try:
                await self._trail.change(ws, entry)
            except RaylakeError as error:
                raise Refusal(503, "StorageError", f"the change was made but not audited: {error}") from error
        await answer.release()


class _Answer:
    """The way back: adds headers, remembers the status, and can hold an answer until the log is written."""

    __slots__ = ("_held", "_secure", "_send", "metered", "started", "status")

    def __init__(self, send: Send, *, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self._held: list[Message] | None = None
        self.metered: Metered | None = None
        self.status = 0
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on, or hold it."""
        if message["type"] == "http.response.start":
            if self.metered is not None and self.metered.refusal is not None:
                refusal, self.metered = self.metered.refusal, None
                raise refusal
            self.status = message["status"]
            message = {**message, "headers": self._headers(message)}
        if self._held is not None:
            self._held.append(message)
        else:
            self.started = True
            await self._send(message)

    def hold(self) -> None:
        """Keep what follows."""
        self._held = []

    def drop(self) -> None:
        """Forget what was held."""
        self._held = self.metered = None

    def kept(self) -> bytes:
        """The body that is held, when it is small."""
        parts = [message.get("body", b"") for message in self._held or ()]
        return b"".join(parts) if sum(map(len, parts)) <= _KEPT else b""

    async def release(self) -> None:
        """Send what was held."""
        held, self._held = self._held or [], None
        self.started = True
        for message in held:
            await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        given = list(message.get("headers", ()))
        said = _DEFAULTS.intersection([name for name, _ in given])
        given += [header for header in _SECURITY if header[0] not in said] if said else _SECURITY
        if self._secure:
            given.append(_STRICT)
        return given


def _head(scope: Scope) -> dict[bytes, bytes]:
    """The headers that are read here, each given once.

    Raises:
        Refusal: One that decides is given twice: two readers might each believe another one.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            if name in found:
                raise Refusal(400, "BadHeaders", f"header {name.decode()!r} is given twice")
            found[name] = value
    return found
