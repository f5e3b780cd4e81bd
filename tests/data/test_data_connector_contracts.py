"""The conformance suites on every connector beside CSV and Parquet, each against what it really reads."""

from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import nats
import pyarrow as pa
import pytest
import redis
import sqlalchemy as sa
from confluent_kafka import Producer
from pyarrow import orc
from tests.data.api_server import Api, serve
from tests.postgres import Server
from tests.stream_servers import NatsServer, RedisServer, free_port

from raylake import data
from raylake.core import Workspace
from raylake.data import Connector
from raylake.testing.connectors import ConnectorContract, Feed, Row, StreamContract


@dataclass
class RecordFiles:
    folder: Path
    kind: str
    count: int = 0

    def _make(self, path: str) -> Connector:
        if self.kind == "avro":
            return data.Avro(path)
        if self.kind == "orc":
            return data.Orc(path)
        return data.Text(path, r"(?P<id>\d+) (?P<note>.*)") if self.kind == "log" else data.Json(path)

    def connector(self) -> Connector:
        return self._make(str(self.folder / f"*.{self.kind}"))

    def missing(self) -> Connector:
        return self._make(str(self.folder / "no.thing"))

    def add(self, rows: Sequence[Row]) -> None:
        self.count += 1
        path = self.folder / f"{self.count:03d}.{self.kind}"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        if self.kind == "avro":
            fields = [{"name": name, "type": "string"} for name in ("id", "note")]
            with path.open("wb") as out:
                fastavro.writer(out, {"type": "record", "name": "r", "fields": fields}, rows)
        elif self.kind == "orc":
            orc.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
        elif self.kind == "log":
            path.write_text("".join(f"{row['id']} {row['note']}\n" for row in rows))
        elif self.kind == "json":
            path.write_text(json.dumps(list(rows), indent=1))
        elif self.kind == "jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        else:
            path.write_text(lines)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "avro", "orc", "log"])
class TestRecordFiles(ConnectorContract):
    @pytest.fixture
    def feed(self, tmp_path: Path, kind: str) -> Feed:
        (tmp_path / "feed").mkdir()
        return RecordFiles(tmp_path / "feed", kind)


@dataclass
class Database:
    """Rows share watermarks by threes: ties are the rule."""

    url: str
    watermark: str
    splits: int = 1
    engine: Any = None
    count: int = 0

    def __post_init__(self) -> None:
        self.engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        with self.engine.begin() as connection:
            kind = "timestamptz" if self.engine.name == "postgresql" else "timestamp"
            connection.execute(sa.text(f"CREATE TABLE feed (id INTEGER, note TEXT, tick INTEGER, at {kind})"))

    def connector(self) -> Connector:
        split_on = "id" if self.splits > 1 else None
        query = f"SELECT id, note FROM feed WHERE {self.watermark} IS NOT NULL"
        if self.watermark == "id":
            return data.Sql(self.url, query=query, watermark="id", split_on=split_on, splits=self.splits)
        return OnlyFeedColumns(data.Sql(self.url, table="feed", watermark=self.watermark, splits=self.splits,
                                        split_on=split_on))  # fmt: skip

    def missing(self) -> Connector:
        return data.Sql(self.url, table="nothing", watermark="id")

    def add(self, rows: Sequence[Row]) -> None:
        stamp = "CAST('2026-01-01 00:00:00' AS timestamp)" if self.engine.name == "postgresql" else "'2026-01-01'"
        with self.engine.begin() as connection:
            for row in rows:
                self.count += 1
                tick = self.count // 3
                at = f"{stamp} + interval '{tick} seconds'" if self.engine.name == "postgresql" else (
                    f"datetime({stamp}, '+{tick} seconds') || '.000000'")  # fmt: skip
                connection.execute(
                    sa.text(f"INSERT INTO feed VALUES (:id, :note, :tick, {at})"),
                    {"id": int(row["id"]), "note": row["note"], "tick": tick},
                )


@dataclass(frozen=True)
class OnlyFeedColumns:
    """The suite's rows have two columns; the watermark is a third."""

    inner: data.Sql

    def plan(self, cursor: data.Cursor | None) -> tuple[list[data.Split], data.Cursor]:
        return self.inner.plan(cursor)

    def read(self, split: data.Split) -> Iterator[data.RawBatch]:
        for batch in self.inner.read(split):
            yield data.RawBatch(batch.rows.select(["id", "note"]))


@pytest.mark.parametrize(("watermark", "splits"), [("id", 1), ("tick", 1), ("at", 1), ("tick", 4)])
class TestPostgres(ConnectorContract):
    @pytest.fixture
    def feed(self, server: Server, watermark: str, splits: int) -> Feed:
        return Database(server.url(server.new_database()).replace("+psycopg", ""), watermark, splits)


@pytest.mark.parametrize("watermark", ["id", "tick", "at"])
class TestSqlite(ConnectorContract):
    @pytest.fixture
    def feed(self, tmp_path: Path, watermark: str) -> Feed:
        return Database(f"sqlite:///{tmp_path}/feed.db", watermark)


@dataclass
class ApiFeed:
    api: Api
    style: str

    def connector(self) -> Connector:
        options: dict[str, Any] = {
            "page": {"paging": data.PageNumber(size=3)},
            "offset": {"paging": data.Offset(limit=3), "records": "data.items"},
            "token": {"paging": data.PageToken(token="meta.next", param="token"), "records": "items"},
            "next": {"paging": data.NextLink(), "records": "items"},
            "link": {"paging": data.LinkHeader()},
            "plain": {},
        }[self.style]
        return data.Http(f"{self.api.url}/{self.style}", since="since", mark="id", per_second=1000, **options)

    def missing(self) -> Connector:
        return data.Http(f"{self.api.url}/nothing")

    def add(self, rows: Sequence[Row]) -> None:
        self.api.records += [{**row, "id": int(row["id"])} for row in rows]


@pytest.mark.parametrize("style", ["plain", "page", "offset", "token", "next", "link"])
class TestHttp(ConnectorContract):
    @pytest.fixture
    def feed(self, style: str) -> Iterator[Feed]:
        api = Api()
        server = serve(api)
        yield ApiFeed(api, style)
        server.shutdown()


@dataclass
class RedisFeed:
    server: RedisServer
    form: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def connector(self) -> Connector:
        return data.RedisStream(self.server.url, self.key, form=self.form, max_events=7, group="dash")  # type: ignore[arg-type]

    def missing(self) -> Connector:
        return data.RedisStream(self.server.url, "nothing")

    def add(self, rows: Sequence[Row]) -> None:
        with redis.Redis.from_url(self.server.url) as client:
            for row in rows:
                client.xadd(self.key, dict(row) if self.form == "fields" else {"event": json.dumps(row)})


@pytest.mark.parametrize("form", ["fields", "json"])
class TestRedis(StreamContract):
    @pytest.fixture
    def feed(self, redis_server: RedisServer, form: str) -> Feed:
        return RedisFeed(redis_server, form)


@dataclass
class NatsFeed:
    server: NatsServer
    name: str = field(default_factory=lambda: f"S{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.publish([])

    def connector(self) -> Connector:
        return data.NatsStream(self.server.url, self.name, max_events=7)

    def missing(self) -> Connector:
        return data.NatsStream(self.server.url, "NOTHING")

    def add(self, rows: Sequence[Row]) -> None:
        self.publish([json.dumps(row).encode() for row in rows])

    def publish(self, payloads: list[bytes]) -> None:
        async def go() -> None:
            client = await nats.connect(self.server.url)
            stream = client.jetstream()
            await stream.add_stream(name=self.name, subjects=[f"{self.name}.>"])
            for payload in payloads:
                await stream.publish(f"{self.name}.a", payload)
            await client.close()

        asyncio.run(go())


class TestNats(StreamContract):
    @pytest.fixture
    def feed(self, nats_server: NatsServer) -> Feed:
        return NatsFeed(nats_server)


@dataclass
class KafkaFeed:
    servers: str
    producer: Producer
    topic: str = field(default_factory=lambda: f"t{uuid.uuid4().hex}")

    def __post_init__(self) -> None:
        self.producer.list_topics(self.topic, timeout=5)

    def connector(self) -> Connector:
        return data.Kafka(self.servers, self.topic, max_events=7, group="dash")

    def missing(self) -> Connector:
        return data.Kafka(f"127.0.0.1:{free_port()}", "x", options={"socket.connection.setup.timeout.ms": "1000"})

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.producer.produce(self.topic, json.dumps(row).encode(), partition=0)
        self.producer.flush(10)


@pytest.fixture(scope="module")
def kafka() -> tuple[str, Producer]:
    """librdkafka's mock broker, in this process; clients reach it over TCP."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    return f"{broker.host}:{broker.port}", producer


class TestKafka(StreamContract):
    @pytest.fixture
    def feed(self, kafka: tuple[str, Producer]) -> Feed:
        return KafkaFeed(*kafka)


class TestDeltaFeed(ConnectorContract):
    @pytest.fixture
    def feed(self, tmp_path: Path) -> Feed:
        return DeltaTableFeed(Workspace.open(tmp_path / "partner", registry_url="", online_url=""))


@dataclass
class DeltaTableFeed:
    ws: Workspace

    def connector(self) -> Connector:
        return data.DeltaFeed(f"{self.ws.root}/tables/main/rows")

    def missing(self) -> Connector:
        return data.DeltaFeed(f"{self.ws.root}/tables/main/nothing")

    def add(self, rows: Sequence[Row]) -> None:
        data.write(self.ws, "rows", pa.Table.from_pylist([dict(row) for row in rows]))
