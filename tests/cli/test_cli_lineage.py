"""`raylake runs|models|tables|lineage|compare|trace|card`: tables for people, JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raylake import data, registry
from raylake.cli import main
from raylake.core import Node, Workspace


@pytest.fixture
def lake(ws: Workspace) -> list[str]:
    raw = data.write(ws, "flights", pa.table({"id": [1, 2]}), inputs=[Node("file", "raw/[red]flights.csv")])
    for depth in (4, 6):
        run = registry.start_run(ws, "train", "forest", params={"depth": depth}, inputs=[raw.node])
        run = registry.finish_run(ws, run.id, metrics={"auc": depth / 10}, artifact="0" * 64)
        registry.register(ws, run, name="delay", alias="champion")
    moment = datetime(2013, 7, 1, tzinfo=UTC)
    row = {"id": "a#0", "request_id": "a", "at": moment, "received_at": moment, "model": "delay", "version": 2}
    data.write(ws, "predictions.delays", pa.Table.from_pylist([{**row, "prediction": 0.5, "latency_ms": 1.0}]))
    return ["--workspace", ws.root]


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(told(capsys, *words, "--json"))


def test_lists(lake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert [run["metrics"]["auc"] for run in answer(capsys, "runs", *lake)] == [0.6, 0.4]
    assert len(answer(capsys, "runs", "--limit", "1", "--kind", "train", *lake)) == 1
    assert answer(capsys, "runs", "--status", "failed", *lake) == []
    assert answer(capsys, "models", *lake)[0]["aliases"] == {"champion": 2}
    assert [version["version"] for version in answer(capsys, "models", "delay", *lake)] == [1, 2]
    assert {table["name"] for table in answer(capsys, "tables", *lake)} == {"main.flights", "predictions.delays"}
    assert answer(capsys, "tables", "flights", *lake)[0]["rows"] == 2
    for words in (["runs"], ["models"], ["models", "delay"], ["tables"], ["tables", "flights"]):
        assert told(capsys, *words, *lake).strip()
    assert main(["models", "unknown", *lake]) == 1 and "'unknown' is not registered" in capsys.readouterr().err


def test_lineage_in_every_form(lake: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tree = told(capsys, "lineage", "model:delay@2", *lake)
    assert "file:raw/[red]flights.csv" in tree  # not read as markup
    assert tree.index("run:") < tree.index("table:main.flights@1") < tree.index("file:")
    assert "model:delay@2" in told(capsys, "lineage", "table:main.flights", "--direction", "downstream", *lake)
    edges = answer(capsys, "lineage", "model:delay@2", "--depth", "1", *lake)
    assert [edge["target"] for edge in edges] == ["model:delay@2"]
    assert told(capsys, "lineage", "model:delay@2", "--format", "svg", *lake).startswith("<svg")
    assert told(capsys, "lineage", "model:delay@2", "--format", "mermaid", *lake).startswith("flowchart LR")
    events = json.loads(told(capsys, "lineage", "model:delay@2", "--format", "openlineage", *lake))
    assert "train/forest" in {event["job"]["name"] for event in events}
    page = tmp_path / "x.svg"
    told(capsys, "lineage", "model:delay@2", "--format", "svg", "--out", str(page), *lake)
    assert page.read_text().startswith("<svg")


def test_compare_trace_and_card(lake: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "depth" in told(capsys, "compare", "delay@1", "delay@2", *lake)
    parts = {found["part"] for found in answer(capsys, "compare", "delay@1", "delay@2", *lake)["differences"]}
    assert {"parameter", "metric"} <= parts
    assert "delay@2 (champion)" in told(capsys, "trace", "a#0", *lake)
    assert answer(capsys, "trace", "a", *lake)["model"]["version"] == 2
    assert told(capsys, "card", "delay", *lake).startswith("# delay@2")
    page = tmp_path / "card.html"
    assert answer(capsys, "card", "delay@1", "--out", str(page), *lake)["model"] == "delay@1"
    assert page.read_text().startswith("<!doctype html>")


def test_errors_are_one_line(lake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["trace", "zzz"], ["card", "nothing"], ["compare", "delay@1", "flights"], ["lineage", "flights"]):
        assert main([*words, *lake]) == 1
        assert "Traceback" not in capsys.readouterr().err
