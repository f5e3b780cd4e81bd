"""Kafka: ranges of offsets, a split per partition."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ...core import SourceError
from ..connector import Cursor, RawBatch, Split
from ..optional import need
from .events import MAX_EVENTS, Form, Gathered, check_options, events_lost, moment
from .secrets import reveal, reveal_all

_LOG = logging.getLogger("raylake.kafka")
_PAGE = 5_000
_EVENT_BYTES = 300
_TIMEOUT = 10.0
# How long a broker may give nothing of a range that it said is there.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Kafka:
    """A Kafka topic. Needs ``raylake[kafka]``.

    Partitions are assigned by us and never by a consumer group, so that no rebalance moves what was read: the offsets
    lie in the table's own commit. New partitions are found by the next plan. What is read is checked against the
    offsets.

    Attributes:
        servers: ``host:port``, several separated by commas.
        topic: The topic.
        form: ``json``: the value is a JSON object; ``text``: it becomes column ``value``.
        meta: Facts to add as columns: ``partition`` (``_partition``), ``offset``, ``key``, ``published_at``.
        start: Where the first ingest begins: ``earliest`` or ``latest``.
        gaps: ``fail`` when offsets are missing, or ``accept`` for compacted and transactional topics, which have gaps.
        lost: ``fail`` when events were removed before they were read, or ``skip`` to go on without them.
        group: Consumer group whose offsets are moved after each commit, for lag dashboards; ``None``: none.
        options: Other settings of librdkafka, such as ``{"sasl.password": "${KAFKA_PASSWORD}"}``.
        max_events: Most events per partition of one batch.

    Example:
        >>> Kafka("broker:9092", "clicks").topic
        'clicks'
    """

    servers: str
    topic: str
    form: Form = "json"
    meta: Sequence[str] = ()
    start: Literal["earliest", "latest"] = "earliest"
    gaps: Literal["fail", "accept"] = "fail"
    lost: Literal["fail", "skip"] = "fail"
    group: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    max_events: int = MAX_EVENTS

    sparse: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self.form, self.meta, self.max_events)
        object.__setattr__(self, "meta", tuple(self.meta))

    def plan(self, cursor: Cursor | None) -> tuple[list[Split], Cursor]:
        """A split per partition with events after the cursor, at most `max_events` each."""
        known: Mapping[str, int] = cursor["offsets"] if cursor else {}
        after, splits = dict(known), []
        with self._consumer() as consumer:
            for partition, (low, high) in self._bounds(consumer).items():
                name = f"{self._name}[{partition}]"
                at = self._at(name, partition, known, cursor is None, low, high)
                end = min(high, at + self.max_events)
                after[str(partition)] = end
                if end > at:
                    address = {"partition": partition, "from": at, "to": end}
                    splits.append(Split(f"{name}[{at}..{end})", address, (end - at) * _EVENT_BYTES))
        return splits, {"offsets": after}

    def read(self, split: Split) -> Iterator[RawBatch]:
        """Batches of up to 5,000 events."""
        library = need("confluent_kafka", "kafka")
        partition, at, end = (int(split.address[key]) for key in ("partition", "from", "to"))
        heard = time.monotonic()
        with self._consumer() as consumer:
            consumer.assign([library.TopicPartition(self.topic, partition, at)])
            while at < end:
                gathered = Gathered(self.form, self.meta)
                for message in consumer.consume(min(_PAGE, end - at), timeout=1.0):
                    at = self._take(gathered, message, at, end, split.name)
                if gathered.payloads:
                    heard = time.monotonic()
                    yield gathered.batch()
                elif self.gaps == "accept":
                    # Nothing more of the range can be seen once the reader stands behind it.
                    at = max(at, int(consumer.position([library.TopicPartition(self.topic, partition)])[0].offset))
                if time.monotonic() - heard > _PATIENCE:
                    raise events_lost(split.name, f"offsets up to {end} were announced", f"nothing came after {at}")

    def lag(self, cursor: Cursor | None) -> int:
        """Events after the cursor, in all partitions."""
        known: Mapping[str, int] = cursor["offsets"] if cursor else {}
        with self._consumer() as consumer:
            return sum(
                high - max(low, known.get(str(partition), low))
                for partition, (low, high) in self._bounds(consumer).items()
            )

    def acknowledge(self, cursor: Cursor) -> None:
        """Commit the offsets of `group`."""
        if self.group is None:
            return
        library = need("confluent_kafka", "kafka")
        with self._consumer() as consumer:
            places = [library.TopicPartition(self.topic, int(key), at) for key, at in cursor["offsets"].items()]
            consumer.commit(offsets=places, asynchronous=False)

    def _at(self, name: str, partition: int, known: Mapping[str, int], first: bool, low: int, high: int) -> int:
        if str(partition) not in known:
            return high if first and self.start == "latest" else low
        at = known[str(partition)]
        if at < low:
            if self.lost == "fail":
                raise events_lost(name, f"offset {at} comes next", f"the first one there is {low}")
            return low
        if at > high:
            raise SourceError(
                f"{name} ends at offset {high}, before {at}, up to where it was read: the topic was made anew, or the "
                "brokers lost events. Give the source a new name to read the new topic"
            )
        return at

    def _take(self, gathered: Gathered, message: Any, at: int, end: int, name: str) -> int:
        """Add a message of the range; return the offset after it."""
        if message.error() is not None:
            raise SourceError(f"{name} cannot be read: {message.error().str()}")
        offset = int(message.offset())
        if offset >= end:
            return end
        if offset != at and self.gaps == "fail":
            raise SourceError(
                f"{name} gave offset {offset} where {at} was expected: events are missing. Nothing was committed. "
                "Compacted and transactional topics have gaps: declare gaps='accept' for them"
            )
        kind, at_ms = message.timestamp()
        gathered.add(
            message.value(),
            stream=self.topic,
            partition=message.partition(),
            offset=offset,
            key=None if message.key() is None else message.key().decode(errors="replace"),
            published_at=moment(at_ms) if kind else None,
        )
        return offset + 1

    def _bounds(self, consumer: Any) -> dict[int, tuple[int, int]]:
        library = need("confluent_kafka", "kafka")
        topic = consumer.list_topics(self.topic, timeout=_TIMEOUT).topics[self.topic]
        if topic.error is not None or not topic.partitions:
            raise SourceError(f"{self._name} does not exist ({topic.error}): correct the name, or make it first")
        return {
            number: consumer.get_watermark_offsets(
                library.TopicPartition(self.topic, number), timeout=_TIMEOUT, cached=False
            )
            for number in sorted(topic.partitions)
        }

    @property
    def _name(self) -> str:
        return f"kafka://{self.servers}/{self.topic}"

    @contextmanager
    def _consumer(self) -> Iterator[Any]:
        library = need("confluent_kafka", "kafka")
        settings = {
            "bootstrap.servers": reveal(self.servers),
            "group.id": self.group or "raylake",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            **reveal_all(self.options),
        }
        try:
            consumer = library.Consumer(settings, logger=_LOG)
            try:
                yield consumer
            finally:
                consumer.close()
        except library.KafkaException as error:
            reason = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
            raise SourceError(f"{self._name} cannot be read: {reason}. Check servers, rights and options") from error
