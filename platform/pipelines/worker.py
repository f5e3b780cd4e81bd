"""What runs on a worker: one attempt of one task."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import cloudpickle

from .. import registry
from ..core import PipelineError, Workspace
from .bindings import Constant, Gathered, part_of
from .code import Code
from .context import _CURRENT, StepContext

LOG_LIMIT = 1 << 20  # characters of output kept of one attempt: the last ones
GRACE_SECONDS = 5.0  # between TimeoutError inside a step and the end of its worker


@dataclass(frozen=True, slots=True)
class Slot:
    """The value at `index` of those passed along, or a part of it; `what` names it in messages."""

    index: int
    path: tuple[str | int, ...] = ()
    what: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value in the storage root, or a part of it."""

    digest: str
    path: tuple[str | int, ...] = ()
    what: str = ""


Input = Constant | Slot | Stored | Gathered


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of one task, as it travels to a worker."""

    ws: Workspace
    code: bytes
    step: str
    run_id: str
    task: str
    attempt: int
    generation: int
    inputs: Mapping[str, Any]
    injected: Mapping[str, str]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `output` is the digest of the value, ``None`` after an error; `log` of what it printed."""

    output: str | None
    started_at: datetime
    ended_at: datetime
    where: str
    error: str = ""
    final: bool = False
    log: str | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@dataclass
class _Attempt:
    """What an attempt leaves behind."""

    output: str | None = None
    value: Any = None
    error: str = ""
    final: bool = False
    printed: io.StringIO = field(default_factory=io.StringIO)


def execute(call: Call, *values: Any) -> tuple[Outcome, Any]:
    """Run the attempt; errors of the step are told in the outcome, never raised."""
    context = StepContext(call.ws, call.run_id, call.task, call.attempt, call.generation)
    made, started = _Attempt(), datetime.now(UTC)
    token = _CURRENT.set(context)
    try:
        with _printed_to(made.printed), _deadline(call.task, call.timeout):
            _run(call, values, context, made)
    except Exception as error:  # noqa: BLE001 - whatever a step raises is its outcome
        made.error = _told(error)
        made.final = isinstance(error, Unstorable)
        made.printed.write(traceback.format_exc())
    finally:
        _CURRENT.reset(token)
    outcome = Outcome(
        output=made.output,
        started_at=started,
        ended_at=datetime.now(UTC),
        where=f"{socket.gethostname()}:{os.getpid()}",
        error=made.error,
        final=made.final,
        log=_kept(call.ws, made.printed.getvalue()),
        reads=tuple(dict.fromkeys([*_nodes(values), *context._reads])),
        writes=tuple(dict.fromkeys([*_nodes([made.value]), *context._writes])),
    )
    return outcome, made.value


def encode(value: Any, step: str) -> bytes:
    """The value as it is stored.

    Raises:
        PipelineError: It cannot be pickled; the message names the step.
    """
    try:
        pickled: bytes = cloudpickle.dumps(value, protocol=5)
    except Exception as error:
        raise Unstorable(
            f"step {step!r} returned a {type(value).__name__}, which cannot be stored ({error}): "
            "return plain data, a table, or a reference to where it was written"
        ) from error
    return pickled


def load(ws: Workspace, digest: str) -> Any:
    """A stored value. Only what steps of this workspace stored is read; see decision 37."""
    return pickle.loads(registry.get_bytes(ws, digest))


class Unstorable(PipelineError):
    """An error that would come again."""


def _run(call: Call, values: Sequence[Any], context: StepContext, made: _Attempt) -> None:
    code = _code(call.code)
    arguments = {name: _resolve(each, values, call.ws) for name, each in call.inputs.items()}
    for name, kind in call.injected.items():
        arguments[name] = call.ws if kind == "Workspace" else context
    value = code.function(**arguments)
    made.output = registry.put_bytes(call.ws, encode(value, call.task))
    made.value = value


@lru_cache(maxsize=256)
def _code(pickled: bytes) -> Code:
    code: Code = pickle.loads(pickled)
    return code


def _resolve(each: Input, values: Sequence[Any], ws: Workspace) -> Any:
    if isinstance(each, Constant):
        return each.value
    if isinstance(each, Slot):
        return part_of(values[each.index], each.path, each.what)
    if isinstance(each, Stored):
        return part_of(load(ws, each.digest), each.path, each.what)
    items = [_resolve(item, values, ws) for item in each.items]  # type: ignore[arg-type]
    if each.kind == "dict":
        return dict(zip(each.names, items, strict=True))
    return tuple(items) if each.kind == "tuple" else items


def _nodes(values: Sequence[Any]) -> Iterator[str]:
    """Table and model versions among the values, for the diagrams."""
    for value in values:
        if isinstance(value, registry.TableVersion | registry.ModelVersion):
            yield str(value.node)
        elif isinstance(value, list | tuple) and len(value) <= 1000:
            yield from _nodes(value)
        elif isinstance(value, dict) and len(value) <= 1000:
            yield from _nodes(list(value.values()))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:4000]


def _kept(ws: Workspace, printed: str) -> str | None:
    if not printed:
        return None
    return registry.put_bytes(ws, printed[-LOG_LIMIT:].encode("utf-8", "replace"))


@contextlib.contextmanager
def _printed_to(sink: io.StringIO) -> Iterator[None]:
    handler = logging.StreamHandler(sink)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def _deadline(task: str, seconds: float | None) -> Iterator[None]:
    """`TimeoutError` inside the step after `seconds`; a step that ignores it loses its worker a little later.

    The second is done by a thread of `faulthandler` in C, which a step that never gives back the interpreter's lock
    cannot hold up.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: object) -> None:
        raise TimeoutError(f"step {task!r} took longer than its timeout of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
