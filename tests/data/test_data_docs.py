"""Everything in docs/sources.md runs, in its order, against real files and servers."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shlex
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import fastavro
import nats
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
import sqlalchemy as sa
from confluent_kafka import Producer
from PIL import Image
from pyarrow import orc
from pyiceberg.catalog import load_catalog
from tests.data.api_server import Api, serve
from tests.postgres import Server
from tests.stream_servers import NatsServer, RedisServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sources.md"
COMBINED = '1.2.3.4 - ann [10/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 2326 "-" "curl/8"\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def write_files(raw: Path) -> None:
    (raw / "letters").mkdir(parents=True)
    lines = [f"{n},{n % 5},{'Oslo' if n % 2 else 'Rome'},2026-01-01T00:00:{n % 60:02d}Z" for n in range(200)]
    (raw / "trips.csv").write_text("\n".join(["id,miles,city,started_at", *lines, "200,n/a,Rome,2026-01-01T01:00:00Z"]))
    (raw / "sales.csv").write_text("\ufeffDatum;Betrag\n31.01.2026;1.234,50\n2026-02-01;7,00\n", encoding="utf-8")
    (raw / "visits1.csv").write_text("id;at;page\n1;2026-01-01T00:00:00Z;home\n2;2026-01-01T00:00:00Z;\n")
    (raw / "orders.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1, "to": {"city": "Oslo"}}\n{"id": 2}\n'))
    with (raw / "a.avro").open("wb") as out:
        fields = [{"name": "kwh", "type": "double"}]
        fastavro.writer(out, {"type": "record", "name": "m", "fields": fields}, [{"kwh": 1.5}])
    orc.write_table(pa.table({"n": [1]}), raw / "a.orc")
    pq.write_table(pa.table({"n": [1]}), raw / "a.parquet")
    (raw / "access.log").write_text(COMBINED)
    (raw / "letters" / "a.html").write_text("<html><body><p>Dear all</p></body></html>")
    Image.new("RGB", (20, 10)).save(raw / "a.png")
    with wave.open(str(raw / "a.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 800)


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(records=[{"id": number, "title": "late"} for number in range(7)])
    server = serve(api)
    yield api
    server.shutdown()


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api, server: Server, redis_server: RedisServer,
    nats_server: NatsServer,
) -> Iterator[None]:  # fmt: skip
    write_files(tmp_path / "raw")
    shop = server.url(server.new_database())
    with sa.create_engine(shop).begin() as connection:
        connection.execute(sa.text("CREATE TABLE customers (id int, changed_at timestamptz)"))
        connection.execute(sa.text("INSERT INTO customers SELECT n, now() FROM generate_series(1, 50) n"))
    with redis.Redis.from_url(redis_server.url) as client:
        client.delete("clicks")
        client.xadd("clicks", {"id": "1", "at": "2026-01-01T00:00:00Z"})

    async def publish() -> None:
        client = await nats.connect(nats_server.url)
        stream = client.jetstream()
        await stream.add_stream(name="ORDERS", subjects=["orders"])
        await stream.publish("orders", b'{"id": 1}')
        await client.close()

    asyncio.run(publish())
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    producer.produce("payments", json.dumps({"id": 1}).encode(), partition=0)
    producer.flush(10)
    found = {"SHOP_DB": shop, "API": api.url, "API_TOKEN": "t", "REDIS": redis_server.url, "NATS": nats_server.url}
    found["ICEBERG"] = f"sqlite:///{tmp_path}/iceberg.db"
    warehouse = f"file://{tmp_path}/warehouse"
    catalog = load_catalog("default", type="sql", uri=found["ICEBERG"], warehouse=warehouse)
    catalog.create_namespace("shop")
    catalog.create_table("shop.orders", pa.schema([("sku", pa.string())])).append(pa.table({"sku": ["007"]}))
    for name, value in {**found, "KAFKA": f"{broker.host}:{broker.port}"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAYLAKE_RAY_ADDRESS", "local")
    monkeypatch.chdir(tmp_path)
    yield
    del producer


@pytest.mark.slow
def test_the_page_runs(world: None, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.records = [{"id": number, "title": "late"} for number in range(7)]
    (plan,) = blocks("yaml")
    Path("sources.yaml").write_text(plan)
    names: dict[str, object] = {}
    code = "\n".join(blocks("python")).replace('"${API}/tickets", records="items"', '"${API}/next", records="items"')
    exec(compile(code, "docs/sources.md", "exec"), names)
    out = capsys.readouterr().out
    for told in (
        "key: id; event time: started_at",
        "1 of 201 values is not int64: 'n/a'",
        "trips@1 1",
        "miles: 'n/a' is not a valid int64",
        "{'city': ['Oslo', 'Rome']",
        "orders@1 2 ['id', 'to_city']",
        "customers@1 50",
        "tickets@1 7",
        "payments@1 1 ['id', '_partition', '_offset']",
        "partner@1 200",
        "shop-orders@1 1 ['sku']",
        "looks like numbers written 1.234,5",
        "{'Datum': datetime.date(2026, 1, 31), 'Betrag': 1234.5}",
        "{'accepted': 1, 'duplicates': 1}",
        "[{'id': 'a', 'n': 1}]",
    ):
        assert told in out, f"{told!r} is not in\n{out}"
    assert api.headers[0]["authorization"] == "Bearer t"


@pytest.mark.slow
def test_the_commands_run(world: None) -> None:
    (plan,) = blocks("yaml")
    Path("sources.yaml").write_text(plan)
    told = ""
    for line in blocks("bash")[0].strip().splitlines():
        words = [*shlex.split(line)[1:], "--workspace", "lake"]
        done = subprocess.run([sys.executable, "-m", "raylake.cli.app", *words], capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        told += done.stdout
    assert "not_null(id)" in told and "<!doctype html>" in Path("visits.html").read_text()
    assert "started_at" in told and "main.visits" in told and "paused" in told
