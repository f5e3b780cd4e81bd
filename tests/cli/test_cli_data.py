"""`raylake data ...`: a table's whole life from the command line."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raylake import data
from raylake.cli import main
from raylake.cli.tables import conditions
from raylake.core import ConfigError, Workspace

ROWS = pa.table({"id": [1, 2, 3, 4], "origin": ["EWR", "JFK", None, "EWR"], "delay": [5.0, -3.0, 700.0, None]})


class Cli:
    """Runs commands on one workspace."""

    def __init__(self, ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        self.ws, self.capsys = ws, capsys

    def __call__(self, *words: str, code: int = 0) -> Any:
        """What the command prints as JSON."""
        assert main(["data", *words, "--workspace", self.ws.root, "--json"]) == code, self.capsys.readouterr().err
        return json.loads(self.capsys.readouterr().out)

    def shown(self, *words: str, code: int = 0) -> str:
        """What the command prints for a person."""
        assert main(["data", *words, "--workspace", self.ws.root]) == code
        told = self.capsys.readouterr()
        return told.out + told.err


@pytest.fixture
def cli(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> Cli:
    data.write(ws, "flights", ROWS)
    return Cli(ws, capsys)


def test_a_table_is_changed_compared_and_restored(cli: Cli, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [2, 9], "origin": ["LGA", "LGA"], "delay": [1.0, 2.0]}), tmp_path / "new.parquet")
    assert cli("load", "flights", str(tmp_path / "new.parquet"))[0]["rows"] == 6
    assert cli("restore", "flights@1")[0]["rows"] == 4
    assert cli("merge", "flights", str(tmp_path / "new.parquet"), "--key", "id")[0]["rows"] == 5
    kinds = [row["_change_type"] for row in cli("changes", "flights", "--since", "3", "--key", "id")]
    assert sorted(kinds) == ["insert", "update_postimage", "update_preimage"]
    assert cli("delete", "flights", "--where", "origin == LGA", "--where", "id in [2, 7]")[0]["rows"] == 4
    assert [row["operation"] for row in cli("versions", "flights")][-2:] == ["merge", "delete"]
    assert cli("derive", "late", "select id, delay from flights where delay > 100")[0]["rows"] == 1
    assert cli("export", "flights@1", str(tmp_path / "out.csv"), "--column", "id", "--where", "delay > 0")["rows"] == 2
    assert (tmp_path / "out.csv").read_text().split() == ['"id"', "1", "3"]
    assert "1 rows written" in cli.shown("export", "late", str(tmp_path / "late.parquet"))
    assert "1234.5678" in cli.shown("sql", "select 1234.5678 as x")
    assert "... 3 more rows" in cli.shown("sql", "select id from flights", "--limit", "1")


def test_a_table_is_kept_in_shape(cli: Cli) -> None:
    for at in range(3):
        data.write(cli.ws, "flights", ROWS.slice(at, 1))
    assert cli("show", "flights")["files"] == 4
    assert cli("compact", "flights")[0]["operation"] == "compact"
    assert cli("show", "flights")["files"] == 1
    assert cli("compact", "flights", "--z-order", "id")[0]["operation"] == "z_order"
    assert cli("vacuum", "flights", "--keep-hours", "0")["files"] >= 4
    assert cli("retain", "flights", "--history", "30d", "--versions", "2")[0]["versions"] == 2
    assert cli("retain", "flights")[0]["history"] == "30d"
    assert cli("clean-up")[0]["name"] == "main.flights"
    cli("delete", "flights", "--where", "id = 1")
    assert cli("purge", "flights", "--yes")["files"] >= 1
    assert [row["version"] for row in cli("versions", "flights")][-1] == cli("show", "flights")["version"]


def test_what_cannot_be_undone_is_asked_for(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    data.derive(cli.ws, "late", "select * from flights where delay > 100")
    asked: list[str] = []
    monkeypatch.setattr("typer.confirm", lambda text, err: asked.append(text))
    for words in (["purge", "flights"], ["forget", "flights", "--where", "id == 3", "--key", "id"]):
        assert "nothing was changed" in cli.shown(*words, code=1)
    assert len(asked) == 2 and all("gone for good" in text for text in asked)
    done = cli("forget", "flights", "--where", "id == 3", "--key", "id", "--yes")
    assert [(one["name"], one["rows"], one["left"]) for one in done["tables"]] == [
        ("main.late", 1, 0),
        ("main.flights", 1, 0),
    ]
    assert "proof: " in cli.shown("forget", "flights", "--where", "id == 3", "--key", "id", "-y")


def test_quality_and_catalogue(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "flights.html"
    assert cli("profile", "flights", "--out", str(page))["columns"]["delay"]["missing"] == 1
    assert page.read_text().startswith("<!doctype html>")
    shown = cli.shown("profile", "flights", "--column", "delay", "-o", str(tmp_path / "p.json"))
    assert "main.flights@1: 4 rows" in shown or "flights@1: 4 rows" in shown
    assert json.loads((tmp_path / "p.json").read_text())["rows"] == 4
    rules = ["--expect", "not_null: origin", "-e", "between: [delay, 0, 500]", "-e", "holds: delay < 500 OR id = 3"]
    report = cli("check", "flights", *rules, code=1)
    assert [one["failed"] for one in report["results"]] == [1, 2, 0] and not report["passed"]
    assert "breaks not_null(origin), between(delay, 0, 500)" in cli.shown("check", "flights", *rules, code=1)
    assert cli("check", "flights", "-e", "unique: id")["passed"]
    assert len(cli("quality", "flights")) == 3
    cli("describe", "flights", "--description", "Departures", "--owner", "ann", "--tag", "aviation")
    told = cli("describe", "flights", "delay", "--unit", "minutes", "--sensitivity", "public")
    assert told["columns"]["delay"]["unit"] == "minutes" and told["owner"] == "ann"
    assert [found["name"] for found in cli("search", "departures", "delay")] == ["main.flights"]
    assert "minutes" in cli.shown("show", "flights")
    data.write(cli.ws, "flights", ROWS.append_column("gate", pa.array(["a"] * 4)), schema_mode="evolve")
    assert cli("schema", "flights")[-1]["added"] == {"gate": "string"} or cli("schema", "flights")[0]["added"] == {
        "gate": "string"
    }


def test_mistakes_are_told_in_one_line(cli: Cli) -> None:
    for words, said in (
        (["delete", "flights", "--where", "origin"], "condition 'origin' is not valid"),
        (["delete", "flights", "--where", "nope == 1"], "nope"),
        (["check", "flights", "-e", "nope: id"], "names no rule"),
        (["check", "flights", "-e", "{"], "is not valid: write"),
        (["check", "flights"], "no expectations"),
        (["restore", "flights"], "version"),
        (["restore", "flights@77"], "77"),
        (["show", "nothing"], "nothing"),
        (["show", "../x"], "/x' is not valid"),
        (["load", "flights", "no.parquet"], "no.parquet"),
        (["merge", "flights", "no.csv", "--key", "id"], "no.csv"),
        (["describe", "flights", "--unit", "m"], "is about a column"),
        (["describe", "flights", "delay", "--owner", "x"], "is about a table"),
        (["retain", "flights", "--keep", "soon", "--by", "delay"], "soon"),
    ):
        told = cli.shown(*words, code=1)
        assert said in told and "Traceback" not in told, told


def test_conditions_are_read_as_a_person_means_them() -> None:
    assert conditions(["a = 1", "b not in [x, 2]", "c >= 2026-01-31", "d!=null", "e == 'x = y'"]) == [
        ("a", "==", 1),
        ("b", "not in", ["x", 2]),
        ("c", ">=", date(2026, 1, 31)),
        ("d", "!=", None),
        ("e", "==", "x = y"),
    ]
    with pytest.raises(ConfigError, match="quote it"):
        conditions(["a == {"])


def test_a_messy_file_becomes_a_source_without_python(
    tmp_path: Path, ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "My Sales.csv").write_bytes(
        "Tag;Preis\n31.01.2026;1.234,50\n01.02.2026;7,00\nx;y;z\n".encode("latin-1")
    )
    file, plan = str(tmp_path / "My Sales.csv"), str(tmp_path / "plan.yaml")
    assert main(["source", "discover", file]) == 0
    assert "delimiter=';'" in capsys.readouterr().out.replace("\n", " ")
    options = ["--delimiter", ";", "--encoding", "latin-1", "--written", "Preis=1.234,5", "--written", "Tag=%d.%m.%Y"]
    assert main(["source", "discover", file, *options, "--out", plan]) == 0
    told = capsys.readouterr().out
    assert "no row: line has 3 cells instead of 2" in told and "raylake source add" in told
    assert main(["source", "add", plan, "-w", ws.root]) == 0
    assert main(["source", "run", "my-sales", "-w", ws.root]) == 0
    assert data.table(ws, "my-sales")["Preis"].to_pylist() == [1234.5, 7.0]
    capsys.readouterr()
    for words, said in (
        (["source", "discover", file, "--written", "Preis"], "column=notation"),
        (["source", "discover", "a.parquet", "--delimiter", ";"], "is about CSV files"),
        (["source", "discover", "a.xlsx"], "no known ending"),
        (["data", "ingest", "t"], "from which files"),
    ):
        assert main([*words, "-w", ws.root]) == 1
        assert said in capsys.readouterr().err.replace("\n", " ")
