"""Sources as plain data: there and back, mistakes named with their line, connectors of other packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylake import data, registry
from raylake.cli import main
from raylake.core import ConfigError, NotFound, Workspace
from raylake.data import convert
from raylake.data.connectors.kinds import connector_kinds

CONNECTORS = [
    data.Csv("a.csv", delimiter=";"),
    data.Json(["a", "b"], form="lines"),
    data.Images("*.png", size=(8, 9)),
    data.Sql("sqlite:///x", table="t", watermark="id", lookback="5s"),
    data.Kafka("b:1", "t", options={"a": "b"}, meta=["offset"]),
    data.RedisStream("redis://c", "s"),
    data.NatsStream("nats://c", "S", max_events=5),
    data.PushLog("/x"),
    data.DeltaFeed("/x", start=3),
    data.IcebergFeed("shop.orders", {"type": "rest", "uri": "${CATALOG}"}, start=5),
    data.Http("http://x", auth=data.Bearer("${T}"), paging=data.Offset(limit=5), params={"a": "b"}),
    data.Http("http://x", auth=data.ClientCredentials("http://t", "i", "s"), paging=data.PageNumber(size=5)),
]
RULES = [
    data.not_null("id", on_fail="drop"),
    data.between("n", 0, 9),
    data.one_of("w", ["a", "b"]),
    data.matches("w", "[a-z]+", on_fail="warn"),
    data.unique("id", "n"),
    data.at_least_rows(3),
    data.rows_between(1, 9, on_fail="warn"),
    data.fresh("at", "2h"),
    data.similar("n", most=0.5),
    data.refers_to("w", "airports", "faa", on_fail="drop"),
    data.holds("n < 9 OR w = 'x'"),
    data.satisfies(convert.flatten, "n", on_fail="fail"),
]


@settings(deadline=None)
@given(
    st.sampled_from(CONNECTORS),
    st.lists(st.sampled_from(RULES), unique_by=lambda rule: rule.name),
    st.fixed_dictionaries(
        {},
        optional={
            "schema": st.just({"id": "int64", "at": "timestamp"}),
            "key": st.just(("id",)),
            "mode": st.sampled_from(["append", "overwrite"]),
            "every": st.sampled_from(["5m", "1.5h"]),
            "null_values": st.just(("-",)),
            "transform": st.just(convert.flatten),
            "continuous": st.booleans(),
            "event_time": st.just("at"),
            "formats": st.just({"n": "1.234,5"}),
        },
    ),
)
def test_a_source_goes_through_json_and_back(connector: Any, rules: list[Any], options: dict[str, Any]) -> None:
    source = data.Source("s", connector, expectations=tuple(rules), **options)
    stored = json.loads(json.dumps(data.source_to_plain(source)))
    made = data.source_from_plain(stored)
    assert data.source_to_plain(made) == stored
    assert (made.connector, made.rules, made.transform) == (source.connector, source.rules, source.transform)
    assert (made.formats, made.every) == (source.formats, source.every)


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(ConfigError, match="top-level function"):
        data.source_to_plain(data.Source("s", data.Csv("x"), transform=lambda table: table))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("sources:\n- name: a\n  connector:\n    kind: cvs\n    paths: x\n", 4, "kind 'cvs' is unknown"),
        ("sources:\n- name: a\n  connector:\n    kind: csv\n    path: x\n", 5, "has no field 'path'"),
        ("sources:\n- name: a\n  connector: {kind: csv}\n", 3, "needs paths"),
        ("sources:\n- name: a\n  connector: {kind: csv, paths: x}\n  modus: append\n", 4, "has no field 'modus'"),
        ("sources:\n- name: a\n  connector: {kind: csv, paths: x}\n  mode: add\n", 4, "mode='add'"),
        ("sources:\n- name: a\n  connector: {kind: csv, paths: x}\n  every: soon\n", 4, "every"),
        ("sources:\n- name: A b\n  connector: {kind: csv, paths: x}\n", 2, "source name 'A b'"),
        ("sources:\n- name: a\n  connector: {kind: csv, paths: x}\n  expectations:\n  - {not_nul: id}\n", 5, "not_nul"),
        (
            "sources:\n- name: a\n  connector: {kind: csv, paths: x}\n  transform: no.such:thing\n",
            4,
            "cannot be loaded",
        ),
        ("sources:\n- connector: {kind: csv, paths: x}\n", 2, "needs 'name'"),
        ("sources:\n  a: [\n", 3, "not YAML"),
        ("name: a\nconnector:\n  kind: http\n  url: x\n  auth: {kind: beerer}\n", 5, "auth kind 'beerer'"),
        ("just text", 1, "expected a list"),
        ("", 1, "expected a list"),
    ],
)
def test_a_mistake_in_yaml_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        data.load_sources(path)
    assert f"s.yaml, line {line}:" in str(caught.value)


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("- &a {name: a, connector: {kind: csv, paths: x}}\n- *a\n")
    with pytest.raises(ConfigError, match="more than once"):
        data.load_sources(tmp_path / "s.yaml")


def test_a_mistake_in_one_file_stores_nothing(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- {name: a, connector: {kind: csv, paths: x}}\n")
    (tmp_path / "b.yaml").write_text("- {name: b}\n")
    assert main(["source", "add", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), "-w", ws.root]) == 1
    assert data.configured_sources(ws) == []


def test_sources_are_kept_with_their_revisions(ws: Workspace) -> None:
    one = data.save_source(ws, data.Source("a", data.Csv("x"), every="5m"))
    assert data.save_source(ws, data.Source("a", data.Csv("x"), every="5m")) == one
    assert data.save_source(ws, data.Source("a", data.Csv("y"))).revision == 2
    assert data.pause_source(ws, "a").status == "paused"
    assert data.save_source(ws, data.Source("a", data.Csv("z"))).status == "paused"
    registry.record_source_run(ws, "gone", error="x")
    data.remove_source(ws, "a")
    for unknown in (data.pause_source, data.resume_source, data.remove_source, data.configured_source):
        with pytest.raises(NotFound, match="sources: none"):
            unknown(ws, "a")


PACKAGE = '''
from dataclasses import dataclass
import pyarrow as pa
from raylake.data import RawBatch, Split

@dataclass(frozen=True)
class Count:
    """Numbers below `stop`."""
    stop: int
    def plan(self, cursor):
        at = cursor["at"] if cursor else 0
        splits = [Split(f"{at}..{self.stop}", {"from": at, "to": self.stop}, 1)] if self.stop > at else []
        return splits, {"at": max(at, self.stop)}
    def read(self, split):
        yield RawBatch(pa.table({"n": list(range(split.address["from"], split.address["to"]))}))
'''


def test_a_package_of_somebody_else_adds_a_connector(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip lays it out: a module and its dist-info."""
    (tmp_path / "acme_count.py").write_text(PACKAGE)
    info = tmp_path / "acme_count-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-count\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[raylake.connectors]\ncount = acme_count:Count\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "count" in connector_kinds()
    (tmp_path / "s.yaml").write_text("- {name: numbers, connector: {kind: count, stop: 5}}\n")
    assert main(["source", "add", str(tmp_path / "s.yaml"), "-w", ws.root]) == 0
    assert main(["source", "run", "numbers", "-w", ws.root]) == 0
    assert data.table(ws, "numbers")["n"].to_pylist() == [0, 1, 2, 3, 4]
    (info / "entry_points.txt").write_text("[raylake.connectors]\ncsv = acme_count:Count\n")
    with pytest.raises(ConfigError, match="acme-count adds a connector 'csv', which exists"):
        connector_kinds()
    (info / "entry_points.txt").write_text("[raylake.connectors]\ncount = acme_count:Nothing\n")
    with pytest.raises(ConfigError, match="cannot load"):
        connector_kinds()


HIDE = """
import sys
for name in ("fastavro", "redis", "nats", "confluent_kafka", "PIL", "PIL.Image", "soundfile", "pypdf"):
    sys.modules[name] = None
from raylake import data
from raylake.core import ConfigError
streams = (data.RedisStream("redis://x", "s"), data.NatsStream("nats://x", "S"), data.Kafka("x", "t"))
for make in (data.Avro("x"), *streams):
    try:
        make.plan(None)
    except ConfigError as error:
        print(error)
"""


def test_a_missing_library_prints_its_install_command() -> None:
    """And raylake itself imports without any of them."""
    done = subprocess.run([sys.executable, "-c", HIDE], capture_output=True, text=True, check=True)
    for extra in ("avro", "redis", "nats", "kafka"):
        assert f"pip install 'raylake[{extra}]'" in done.stdout


def test_secrets_are_neither_stored_nor_shown(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "t0psecret")
    sql = data.Sql("sqlite:////nowhere/${SHOP_PASSWORD}/x.db", table="t")
    data.save_source(ws, data.Source("shop", sql))
    assert "t0psecret" not in json.dumps(registry.source_record(ws, "shop").definition)
    monkeypatch.delenv("SHOP_PASSWORD")
    with pytest.raises(ConfigError, match="'SHOP_PASSWORD' is not set"):
        sql.plan(None)
