"""Sources that are broken in every way: named, nothing lost, nothing half-written, memory bounded."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import orc
from tests.data.api_server import Api, serve
from tests.postgres import Server

from raylake import data
from raylake.core import ConfigError, SourceError, Workspace


def read_all(connector: data.Connector) -> list[dict[str, Any]]:
    return [
        row for split in connector.plan(None)[0] for batch in connector.read(split) for row in batch.rows.to_pylist()
    ]


def broken_of(connector: data.Connector) -> list[tuple[str, str]]:
    return [pair for split in connector.plan(None)[0] for batch in connector.read(split) for pair in batch.broken]


def avro_bytes() -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}, [{"n": 1}] * 900)
    return out.getvalue()


def orc_bytes() -> bytes:
    out = io.BytesIO()
    orc.write_table(pa.table({"n": range(5000)}), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "body", "words"),
    [
        (data.Json, b"", "0 bytes"),
        (data.Json, b'[{"n": 1}, {"n":', "ends in the middle"),
        (data.Json, b'[{"n": 1}] {"n": 2}', "goes on after the end"),
        (data.Json, '{"n": "é"}'.encode("latin1"), "Declare its encoding"),
        (data.Json, b'{"n": "' + b"x" * 9_000_000 + b'"}\n', "longer than 8 MiB"),
        (data.Json, b'[{"n": "' + b"x" * 9_000_000 + b'"}]', "longer than 8 MiB"),
        (data.Avro, avro_bytes()[:-700], "not readable as Avro"),
        (data.Avro, b"Obj\x01 nonsense", "not readable as Avro"),
        (data.Avro, b"id,n\n1,2\n", "not readable as Avro"),
        (data.Orc, orc_bytes()[:-100], "not readable as ORC"),
        (data.Orc, b"ORC nonsense", "not readable as ORC"),
        (data.Text, b"\xff\xfe\xff", "Declare its encoding"),
        (data.Text, b"x" * 9_000_000, "longer than 8 MiB"),
    ],
)
def test_a_broken_file_is_named_and_leaves_nothing(
    ws: Workspace, tmp_path: Path, make: Any, body: bytes, words: str
) -> None:
    (tmp_path / "bad.data").write_bytes(body)
    with pytest.raises(SourceError, match=words) as caught:
        data.ingest(ws, data.Source("t", make(str(tmp_path / "bad.data"))))
    assert "bad.data" in str(caught.value)
    assert not data.exists(ws, "t") and not list(Path(ws.root).rglob("*.parquet"))


@pytest.mark.parametrize("make", [data.Json, data.Avro, data.Orc, data.Text, data.Files, data.Images, data.Audio])
def test_folders_and_missing_files_are_named(tmp_path: Path, make: Any) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        make(str(tmp_path)).plan(None)
    with pytest.raises(SourceError, match="does not exist"):
        make(str(tmp_path / "x")).plan(None)


def test_truncated_gzip_is_named(tmp_path: Path) -> None:
    body = gzip.compress(b"\n".join(json.dumps({"n": n}).encode() for n in range(9000)))
    (tmp_path / "a.jsonl.gz").write_bytes(body[: len(body) // 2])
    with pytest.raises(SourceError, match=r"a\.jsonl\.gz is not readable"):
        read_all(data.Json(str(tmp_path / "a.jsonl.gz")))


def test_members_that_climb_out_of_an_archive_are_only_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../evil.json", '{"n": 1}\n')
    assert read_all(data.Json(str(tmp_path / "a.zip"))) == [{"n": 1}]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip"]


def test_lines_that_are_no_objects_go_to_quarantine(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n[1]\n{"n"\n\n{"n": 2, "m": 3}\n{"n": "x"}\n')
    source = data.Source("t", data.Json(str(tmp_path / "a.jsonl")), schema={"n": "int64"})
    version = data.ingest(ws, source)
    assert (version.rows, version.metrics["rows_quarantined"], version.metrics["rows_read"]) == (1, 4, 5)
    reasons = data.table(ws, "quarantine.t")["reason"].to_pylist()
    assert "m: unknown field" in reasons and "n: 'x' is not a valid int64" in reasons


GREEDY = """
import sys
from raylake import data
connector = data.Json(sys.argv[1]) if sys.argv[1].endswith("jsonl.gz") else data.Csv(sys.argv[1])
from raylake.core import SourceError
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for split in connector.plan(None)[0]:
        for batch in connector.read(split):
            pass
except SourceError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("name", ["bomb.jsonl.gz", "bomb.csv.gz"])
def test_a_cell_of_gigabytes_takes_little_memory(tmp_path: Path, name: str) -> None:
    """2 GiB of one cell in 2 MB: refused after a bounded look, not unpacked."""
    path = tmp_path / name
    block = b"x" * (1 << 24)
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(b'{"n": "' if "json" in name else b"a,b\n1,")
        for _ in range(128):
            out.write(block)
    done = subprocess.run([sys.executable, "-c", GREEDY, str(path)], capture_output=True, text=True, check=True)
    told, grown = done.stdout.strip().splitlines()
    assert "longer than" in told
    assert int(grown) < 300 * 1024, f"{grown} KiB"


def test_images_and_sound_that_are_none_go_to_quarantine(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG nonsense")
    version = data.ingest(ws, data.Source("scans", data.Images(str(tmp_path / "*.png"))))
    assert (version.rows, version.metrics["rows_quarantined"]) == (0, 1)
    (tmp_path / "a.wav").write_bytes(b"RIFF nonsense")
    assert "not a readable sound file" in broken_of(data.Audio(str(tmp_path / "a.wav")))[0][0]


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api(records=[{"id": number, "note": "x"} for number in range(7)])
    server = serve(api)
    yield api
    server.shutdown()


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("/nothing", {}, "answered 404"),
        ("/html", {}, "not JSON"),
        ("/token", {"records": "data"}, "has no field 'data'"),
        ("/object", {"records": "items"}, "no list of objects"),
        ("/circle", {"records": "items", "paging": data.NextLink()}, "go round in a circle"),
        ("/away", {"records": "items", "paging": data.NextLink()}, "lead to another host"),
        ("/page", {"since": "since", "mark": "changed"}, "has no field 'changed'"),
    ],
)
def test_an_api_that_answers_wrongly_is_named(api: Api, path: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        connector = data.Http(api.url + path, per_second=1000, **options)
        for split in connector.plan(None)[0]:
            list(connector.read(split))


def test_trouble_is_waited_out_and_told_when_it_stays(api: Api) -> None:
    connector = data.Http(f"{api.url}/plain", per_second=1000, retries=3)
    api.trouble = [(503, {}), (429, {"Retry-After": "1"})]
    started = time.monotonic()
    connector.plan(None)
    assert time.monotonic() - started >= 1.0
    api.trouble = [(500, {})] * 4
    with pytest.raises(SourceError, match="answered 500"):
        connector.plan(None)
    api.trouble = [(401, {})]
    with pytest.raises(SourceError, match="Check auth="):
        connector.plan(None)
    assert len(api.trouble) == 0


def test_who_asks(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T", "t0k")
    for auth, header, value in (
        (data.Bearer("${T}"), "authorization", "Bearer t0k"),
        (data.Basic("ann", "${T}"), "authorization", "Basic YW5uOnQwaw=="),
        (data.ApiKey("${T}", "x-key"), "x-key", "t0k"),
        (data.ClientCredentials(f"{api.url}/token", "me", "${T}"), "authorization", "Bearer fresh"),
    ):
        read_all(data.Http(f"{api.url}/plain", auth=auth, per_second=1000))  # type: ignore[arg-type]
        assert api.headers[-1][header] == value
    read_all(data.Http(f"{api.url}/plain", auth=data.ApiKey("${T}", "key", "query"), per_second=1000))
    assert api.asked[-1].endswith("?key=t0k")


def test_the_rate_limit_holds(api: Api) -> None:
    started = time.monotonic()
    read_all(data.Http(f"{api.url}/page", paging=data.PageNumber(), per_second=20))
    assert len(api.asked) >= 4
    assert time.monotonic() - started >= (len(api.asked) - 2) / 20


def test_a_whole_resource_needs_overwrite(ws: Workspace, api: Api) -> None:
    connector = data.Http(f"{api.url}/plain", per_second=1000)
    data.ingest(ws, data.Source("a", connector))
    with pytest.raises(SourceError, match="mode='overwrite'"):
        data.ingest(ws, data.Source("a", connector))
    for count in (7, 8):
        assert data.ingest(ws, data.Source("b", connector, mode="overwrite")).rows == count
        api.records.append({"id": 99, "note": "y"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"table": "nothing"}, "cannot be read: nothing"),
        ({"query": "selec 1"}, "cannot be read"),
        ({"table": "t", "watermark": "w"}, "has no column 'w'"),
        ({"table": "t", "split_on": "name", "splits": 2, "watermark": "id"}, "name an integer column"),
        ({"table": "t", "watermark": "name", "lookback": 5}, "does not fit watermark"),
    ],
)
def test_a_database_that_is_asked_wrongly_is_named(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id INTEGER, name TEXT)"))
        connection.execute(sa.text("INSERT INTO t VALUES (1, 'a')"))
    with pytest.raises(SourceError, match=words):
        data.Sql(url, **options).plan(None)


def test_addresses_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    for wrong, words in (
        (lambda: data.Sql("x", table="a", query="b"), "either table= or query="),
        (lambda: data.Sql("no url", table="a").plan(None), "cannot be parsed"),
        (lambda: data.Sql("oracle+nothing://x", table="a").plan(None), "driver that is not installed"),
        (lambda: data.Http("http://x", since="s"), "together"),
        (lambda: data.Kafka("x", "t", form="xml"), "form='xml'"),  # type: ignore[arg-type]
        (lambda: data.Text("x", "(?P<a>"), "no regular expression"),
        (lambda: data.Text("x", "a+"), "names no column"),
    ):
        with pytest.raises(ConfigError, match=words):
            wrong()


def test_passwords_do_not_enter_messages() -> None:
    for connector in (
        data.Sql("postgresql://ann:t0psecret@127.0.0.1:1/x", table="t"),
        data.RedisStream("redis://ann:t0psecret@127.0.0.1:1/0", "s"),
        data.NatsStream("nats://ann:t0psecret@127.0.0.1:1", "S"),
    ):
        with pytest.raises(SourceError) as caught:
            connector.plan(None)
        assert "t0psecret" not in str(caught.value)


def test_types_of_postgres_arrive(ws: Workspace, server: Server) -> None:
    url = server.url(server.new_database())
    with sa.create_engine(url).begin() as connection:
        kinds = (
            "i int, b bigint, n numeric(10,2), f float8, s text, at timestamptz, d date, ok boolean, j jsonb, u uuid"
        )
        first = "1, 2, 3.25, 4.5, 'x', '2026-01-01T00:00:00Z', '2026-01-02', true, '{\"a\": 1}'"
        unique = "'00000000-0000-0000-0000-000000000001'"
        connection.execute(sa.text(f"CREATE TABLE t ({kinds}, raw bytea)"))
        connection.execute(sa.text(f"INSERT INTO t VALUES ({first}, {unique}, 'abc'), ({', '.join(['null'] * 11)})"))
    data.ingest(ws, data.Source("t", data.Sql(url, table="t"), mode="overwrite"))
    row = data.table(ws, "t").to_pylist()[0]
    assert (row["i"], float(row["n"]), row["f"], row["s"], row["ok"]) == (1, 3.25, 4.5, "x", True)
    assert (row["at"].isoformat(), row["d"].isoformat()) == ("2026-01-01T00:00:00+00:00", "2026-01-02")
    assert (row["j"], row["u"][-1], row["raw"]) == ('{"a":1}', "1", b"abc")
