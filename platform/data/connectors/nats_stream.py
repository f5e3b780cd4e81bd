"""NATS JetStream: ranges of sequence numbers of one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from ...core import SourceError
from ..connector import Cursor, RawBatch, Split
from ..optional import need
from .events import MAX_EVENTS, Form, Gathered, check_options, events_lost
from .secrets import conceal, reveal

T = TypeVar("T")
_PAGE = 2_000
_EVENT_BYTES = 300
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class NatsStream:
    """A JetStream stream of a NATS server. Needs ``raylake[nats]``.

    The cursor is the last sequence number, kept in the table's own commit; the server keeps no consumer for it. What
    is read is checked against the stream's sequence numbers: a gap not listed as deleted is an error.

    Attributes:
        url: ``nats://[user:password@]host:port``; ``${NAME}`` is read from the environment.
        stream: Name of the stream.
        form: ``json``: the payload is a JSON object; ``text``: it becomes column ``value``.
        meta: Facts to add as columns: ``offset`` (``_offset``, the sequence number), ``key`` (the subject),
            ``published_at``, ``stream``.
        lost: ``fail`` when messages were removed before they were read, or ``skip`` to go on without them.
        max_events: Most messages of one batch.

    Example:
        >>> NatsStream("nats://bus:4222", "CLICKS").stream
        'CLICKS'
    """

    url: str
    stream: str
    form: Form = "json"
    meta: Sequence[str] = ()
    lost: Literal["fail", "skip"] = "fail"
    max_events: int = MAX_EVENTS

    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self.form, self.meta, self.max_events)
        object.__setattr__(self, "meta", tuple(self.meta))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """One split: the messages after the cursor, at most `max_events`."""
        state = self._run(self._state)
        at = int(cursor["sequence"]) if cursor else 0
        if state.last_seq < at:
            raise SourceError(
                f"{self._name} ends at {state.last_seq}, before {at}, up to where it was read: the stream was made "
                "anew, or the server lost messages. Give the source a new name to read the new stream"
            )
        first = max(at + 1, state.first_seq)
        if first > at + 1 and cursor is not None and self.lost == "fail":
            raise events_lost(self._name, f"message {at + 1} comes next", f"the first one there is {first}")
        last = min(state.last_seq, first + self.max_events - 1)
        if last < first:
            return [], cursor or {"sequence": 0}
        address = {"first": first, "last": last}
        name = f"{self._name}[{first}..{last}]"
        return [Split(name, address, (last - first + 1) * _EVENT_BYTES)], {"sequence": last}

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 2,000 messages."""
        first, last = int(split.address["first"]), int(split.address["last"])
        # A loop of its own: this is a generator, driven by a thread that has none.
        loop = asyncio.new_event_loop()
        pages = self._pages(first, last)
        try:
            while True:
                try:
                    yield loop.run_until_complete(anext(pages))
                except StopAsyncIteration:
                    return
        finally:
            loop.run_until_complete(pages.aclose())
            loop.close()

    def lag(self, cursor: Cursor | None) -> int:
        """Messages after the cursor."""
        state = self._run(self._state)
        return max(0, int(state.last_seq) - max(int(cursor["sequence"]) if cursor else 0, int(state.first_seq) - 1))

    def acknowledge(self, cursor: Cursor) -> None:
        """Nothing: the server keeps no consumer of ours."""

    async def _state(self, stream: Any) -> Any:
        return (await stream.stream_info(self.stream)).state

    async def _pages(self, first: int, last: int) -> Any:
        api = need("nats.js.api", "nats")
        errors = need("nats.errors", "nats")
        at, count = first - 1, 0
        async with self._connected() as stream:
            config = api.ConsumerConfig(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=first,
                ack_policy=api.AckPolicy.NONE,
                inactive_threshold=60.0,
                mem_storage=True,
            )
            reader = await stream.pull_subscribe("", stream=self.stream, config=config)
            while at < last:
                try:
                    found = await reader.fetch(min(_PAGE, last - at), timeout=_PATIENCE)
                except (errors.TimeoutError, TimeoutError):
                    # The messages up to `last` may be deleted ones: the count below decides.
                    break
                gathered = Gathered(self.form, self.meta)
                for message in found:
                    facts = message.metadata
                    at = int(facts.sequence.stream)
                    if at > last:
                        break
                    count += 1
                    gathered.add(
                        message.data, stream=self.stream, offset=at, key=message.subject, published_at=facts.timestamp
                    )
                yield gathered.batch()
            await reader.unsubscribe()
            await self._check(stream, first, last, count)

    async def _check(self, stream: Any, first: int, last: int, count: int) -> None:
        wanted = last - first + 1
        if count == wanted or self.lost == "skip":
            return
        state = (await stream.stream_info(self.stream, deleted_details=True)).state if count < wanted else None
        # What the server lists as deleted was deleted on purpose.
        deleted = sum(1 for number in (getattr(state, "deleted", None) or ()) if first <= number <= last)
        if count + deleted != wanted:
            raise events_lost(self._name, f"messages {first} to {last} were published", f"{count} are there")

    def _run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async def whole() -> T:
            async with self._connected() as stream:
                return await work(stream)

        return asyncio.run(whole())

    @property
    def _name(self) -> str:
        return f"{conceal(self.url)}#{self.stream}"

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        nats = need("nats", "nats")
        errors = need("nats.errors", "nats")
        jetstream = need("nats.js.errors", "nats")
        try:
            # The library goes on trying servers that refuse, whatever it was told: the wait is bounded here.
            client = await asyncio.wait_for(
                nats.connect(reveal(self.url), connect_timeout=5, allow_reconnect=False, error_cb=_quiet), _PATIENCE / 2
            )
            try:
                yield client.jetstream(timeout=_PATIENCE)
            finally:
                await client.close()
        except jetstream.NotFoundError as error:
            raise SourceError(f"{self._name} does not exist: correct the name, or make the stream first") from error
        except (errors.Error, OSError, TimeoutError, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            reason = str(error) or type(error).__name__
            raise SourceError(
                f"{self._name} cannot be read: {reason}. Check address and rights, or try later"
            ) from error


async def _quiet(error: Exception) -> None:
    """What goes wrong comes back from the call that it went wrong in; the library would print it too."""
