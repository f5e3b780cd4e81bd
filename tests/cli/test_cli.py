"""The command line: help everywhere, `--json` and `--workspace` everywhere, errors as exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from raylake import registry
from raylake.cli import app, main
from raylake.core import Node, Workspace


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from _commands(inner, (*path, name))
    else:
        yield path, command


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_json_workspace_and_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    assert {"--json", "--workspace"} <= options
    assert main([*path, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_an_error_of_raylake_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry.runs(Workspace.open(tmp_path))
    assert main(["data", "versions", "flights", "--workspace", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "NotFound" in err
    assert "flights" in err
    assert "Traceback" not in err


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "versions"]) == 2
    assert main(["no-such-command"]) == 2


def test_ingest_and_query_a_csv_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ray_cluster: None
) -> None:
    (tmp_path / "own.csv").write_text("id,city,temp\n1,Oslo,3.5\n2,Rome,\n3,Lima,21\n", encoding="utf-8")
    lake = ["--workspace", str(tmp_path / "lake"), "--json"]
    assert main(["data", "ingest", "own", str(tmp_path / "own.csv"), "--not-null", "temp", *lake]) == 0
    (version,) = json.loads(capsys.readouterr().out)
    assert (version["name"], version["rows"]) == ("main.own", 2)
    assert main(["data", "sql", "select city from own order by id", *lake]) == 0
    assert json.loads(capsys.readouterr().out) == [{"city": "Oslo"}, {"city": "Lima"}]
    assert main(["data", "tables", *lake]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= {"main.own"}


def test_registry_commands_show_what_is_recorded(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    raw = registry.record_table(ws, "flights", 0, rows=3, schema={"a": "int64"}, operation="ingest")
    run = registry.start_run(ws, "fit", "first", inputs=[raw.node])
    registry.finish_run(ws, run.id, metrics={"auc": 0.7}, artifact=registry.put_bytes(ws, b"model"))
    registry.register(ws, run.id, name="flight-delay", alias="champion")
    registry.record_event(ws, "noted", Node("model", "flight-delay"), {"by": "test"})
    lake = ["--workspace", ws.root]

    def told(*words: str) -> list[dict[str, object]]:
        assert main([*words, *lake, "--json"]) == 0
        return list(json.loads(capsys.readouterr().out))

    assert told("runs")[0]["metrics"] == {"auc": 0.7}
    assert told("models")[0]["aliases"] == {"champion": 1}
    assert told("models", "flight-delay")[0]["version"] == 1
    assert "table:main.flights@0" in {edge["source"] for edge in told("lineage", "model:flight-delay@1")}
    assert told("lineage", "table:main.flights@0", "--direction", "downstream")
    assert "noted" in {event["kind"] for event in told("registry", "events")}
    for words in (["status"], ["runs"], ["models"], ["registry", "events"]):
        assert main([*words, *lake]) == 0
    assert "flight-delay" in capsys.readouterr().out


def test_an_object_that_cannot_be_imported_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, word in (("nothing", "package.module:name"), ("no_such:x", "no_such"), ("json:nope", "nope")):
        assert main(["features", "build", text, "--workspace", str(tmp_path)]) == 1
        assert word in capsys.readouterr().err


def test_listing_runs_ends_those_of_dead_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = Workspace.open(tmp_path)
    living = registry.start_run(ws, "train", "mine", tags=registry.marked())
    dead = {"process": registry.marked()["process"] | {"started": 1}}
    registry.start_run(ws, "train", "killed", tags=dead)
    assert main(["runs", "--json", "--workspace", str(tmp_path)]) == 0
    found = {run["name"]: run["status"] for run in json.loads(capsys.readouterr().out)}
    assert found == {"mine": "running", "killed": "stopped"}
    assert main(["status", "--json", "--workspace", str(tmp_path)]) == 0
    assert [run["id"] for run in json.loads(capsys.readouterr().out)["runs"]] == [living.id]


def test_a_table_shortens_ids_and_cuts_nothing_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ws = Workspace.open(tmp_path)
    run = registry.start_run(ws, "train", "flight-delay")
    registry.finish_run(ws, run.id, metrics={f"metric_{index}": 0.5 for index in range(5)})
    assert main(["runs", "--workspace", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert run.id[:12] in shown
    assert run.id not in shown
    assert "…" not in shown  # rich's sign for what it cut off
    assert f"{run.created_at:%Y-%m-%d %H:%M}" in shown


def test_an_unknown_model_is_an_error_and_not_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry.runs(Workspace.open(tmp_path))
    assert main(["models", "nope", "--workspace", str(tmp_path)]) == 1
    assert "'nope' is not registered" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["runs"],
        ["models"],
        ["tables"],
        ["lineage", "model:a@1"],
        ["compare", "a@1", "a@2"],
        ["trace", "x"],
        ["card", "a@1"],
        ["audit"],
        ["token", "list"],
        ["registry", "events"],
        ["data", "sql", "select 1"],
        ["pipeline", "list"],
        ["serve", "list"],
        ["monitor", "alerts"],
    ],
)
def test_a_mistyped_workspace_is_an_error_and_not_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--workspace", str(tmp_path / "laek")]) == 1
    told = capsys.readouterr().err.replace("\n", "")
    assert "there is no workspace in" in told and "laek" in told and "raylake data ingest" in told
    assert [*tmp_path.iterdir()] == []
