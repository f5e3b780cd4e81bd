"""Writes the audit log beside the requests: changes before they are answered, data points counted by the second.

Entries that arrive together are committed together. A change is answered only when its entry is on disk; data
points (log-metric and the like) are counted per caller and run, and written about once a second: a killed server
loses the counts of its last second, never an entry of another change.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from ..core import RaylakeError, Workspace
from ..registry.access import AuditEntry, mark_used, record_changes
from .doorman import Caller

FLUSH_SECONDS = 1.0
USED_SECONDS = 60.0  # how exact a token's `last_used_at` is
_MOST_POINTS = 10_000
_LONGEST_TEXT = 256
# What identifies the subject of a change. Everything else in a body (values, descriptions, secrets) stays out.
_NAMES = (
    *("name", "new_name", "version", "alias", "stage", "key", "experiment_id", "run_id", "model_id", "webhook_id"),
    *("user", "role", "token_id", "dataset_id", "path"),
)


@dataclass(slots=True)
class _Counted:
    """Data points of one caller and run that are not written yet."""

    ws: Workspace
    caller: Caller
    action: str
    run_id: str
    count: int

    def entry(self) -> AuditEntry:
        subject = {"run_id": self.run_id} if self.run_id else {}
        caller = self.caller
        return AuditEntry(caller.user, caller.token_id, caller.address, self.action, subject, 200, self.count)


_Waiting = tuple[Workspace, AuditEntry, "Future[None]"]
_log = logging.getLogger(__name__)


def subject_of(body: bytes) -> dict[str, Any]:
    """What a JSON body names: its identifying fields, shortened, and nothing else.

    Example:
        >>> subject_of(b'{"name": "delay", "version": 3, "description": "secret"}')
        {'name': 'delay', 'version': '3'}
        >>> subject_of(b"no json")
        {}
    """
    try:
        found = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: str(found[name])[:_LONGEST_TEXT] for name in _NAMES if isinstance(found.get(name), str | int)}


def run_of(body: bytes) -> str:
    """The run that a data point belongs to, or ``""``.

    Example:
        >>> run_of(b'{"run_id": "a1", "key": "loss", "value": 0.5}')
        'a1'
    """
    try:
        found = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return ""
    run_id = found.get("run_id") if isinstance(found, dict) else None
    return run_id[:_LONGEST_TEXT] if isinstance(run_id, str) else ""


def created_by(answer: bytes) -> dict[str, Any]:
    """What an answer names, looking two levels deep: ``{"run": {"info": {"run_id": ...}}}``.

    Example:
        >>> created_by(b'{"run": {"info": {"run_id": "a1", "status": "RUNNING"}}}')
        {'run_id': 'a1'}
    """
    found = subject_of(answer)
    if found or not answer:
        return found
    try:
        level = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    for _ in range(2):
        inner = [value for value in level.values() if isinstance(value, dict)] if isinstance(level, dict) else []
        if len(inner) == 0:
            return {}
        level = inner[0]
        if found := subject_of(orjson.dumps(level)):
            return found
    return {}


class Trail:
    """The log of one server. `change`, `point` and `used` are called on the event loop; a thread writes.

    Example:
        >>> import asyncio, tempfile
        >>> from raylake.registry.access import audit
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> trail = Trail()
        >>> asyncio.run(trail.change(ws, AuditEntry("ann", "", "10.0.0.7", "POST /x", {})))
        >>> trail.close()
        >>> [entry.user for entry in audit(ws)]
        ['ann']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._points: dict[tuple[str, str, str, str], _Counted] = {}
        self._used: dict[str, tuple[Workspace, datetime]] = {}
        self._seen: dict[str, float] = {}
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None

    async def change(self, ws: Workspace, entry: AuditEntry) -> None:
        """Write an entry; returns when it is on disk.

        Raises:
            StorageError: It cannot be written.
        """
        done: Future[None] = Future()
        with self._lock:
            self._waiting.append((ws, entry, done))
            self._ensure_writer()
        self._wake.set()
        await asyncio.wrap_future(done)

    def point(self, ws: Workspace, caller: Caller, action: str, run_id: str) -> None:
        """Count a data point; it is written within about `FLUSH_SECONDS`."""
        key = (ws.registry_url, caller.token_id or caller.address, action, run_id)
        with self._lock:
            known = self._points.get(key)
            if known is None and len(self._points) >= _MOST_POINTS:
                # Only when the log cannot be written for long: one entry then stands for many runs.
                key = (*key[:3], "")
                known = self._points.get(key)
            if known is None:
                self._points[key] = _Counted(ws, caller, action, key[3], 1)
                self._ensure_writer()
            else:
                known.count += 1

    def used(self, ws: Workspace, token_id: str) -> None:
        """Note that a token was used; written at most once a minute."""
        now = time.monotonic()
        if now - self._seen.get(token_id, -USED_SECONDS) < USED_SECONDS:
            return
        self._seen[token_id] = now
        with self._lock:
            self._used[token_id] = (ws, datetime.now(UTC))
            self._ensure_writer()

    def close(self) -> None:
        """Write what is left. The trail may be used again afterwards."""
        self._wake.set()
        writer = self._writer
        if writer is not None:
            writer.join(FLUSH_SECONDS)
        self._write()

    def _ensure_writer(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._run, name="raylake-audit", daemon=True)
            self._writer.start()

    def _run(self) -> None:
        while True:
            woken = self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self._write()
            with self._lock:
                if not (woken or self._waiting or self._points or self._used):
                    self._writer = None
                    return

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            points, self._points = self._points, {}
            used, self._used = self._used, {}
        told = [*(each[0] for each in waiting), *(each.ws for each in points.values())]
        for ws in dict.fromkeys([*told, *(each for each, _ in used.values())]):
            mine = [each for each in waiting if each[0] == ws]
            counted = {key: each for key, each in points.items() if each.ws == ws}
            error = _record(ws, [*(entry for _, entry, _ in mine), *(each.entry() for each in counted.values())])
            for _, _, done in mine:
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
            if error is not None:
                self._put_back(counted)
            _mark(ws, {token_id: moment for token_id, (each, moment) in used.items() if each == ws})

    def _put_back(self, counted: Mapping[tuple[str, str, str, str], _Counted]) -> None:
        with self._lock:
            for key, each in counted.items():
                newer = self._points.setdefault(key, each)
                if newer is not each:
                    newer.count += each.count


def _record(ws: Workspace, entries: list[AuditEntry]) -> RaylakeError | None:
    if not entries:
        return None
    try:
        record_changes(ws, entries)
    except RaylakeError as error:
        _log.error("the audit log of %s cannot be written: %s", ws.name, error)
        return error
    return None


def _mark(ws: Workspace, moments: Mapping[str, datetime]) -> None:
    if not moments:
        return
    try:
        mark_used(ws, moments)
    except RaylakeError as error:
        _log.warning("when tokens were last used cannot be recorded in %s: %s", ws.name, error)
