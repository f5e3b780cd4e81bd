"""`raylake source ...`: sources that are configured while everything runs."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from ..core import ConfigError
from .options import JsonOption, WorkspaceOption, existing_workspace, open_workspace, plain, print_json, show
from .tables import write_out

DelimiterOption = Annotated[str | None, typer.Option(help="Sign between the cells of a CSV file, such as ;")]
EncodingOption = Annotated[str | None, typer.Option(help="Encoding of a CSV file, such as latin-1")]

group = typer.Typer(no_args_is_help=True)
_COLUMNS = ("name", "kind", "status", "every", "last_run_at", "error")


@group.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="YAML files that define sources")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Add the sources of YAML files, or change them; whatever runs acts on it at once."""
    from .. import data

    ws = open_workspace(workspace)
    # All files are read before anything is stored: a mistake in the last one changes nothing.
    found = [source for file in files for source in data.load_sources(file)]
    records = [data.save_source(ws, source) for source in found]
    show([_row(record) for record in records], _COLUMNS, as_json=json, title="sources")


@group.command("list")
def list_sources(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Every configured source, how its last run went, and when the next is due."""
    from .. import data, pipelines

    ws = open_workspace(workspace)
    due = {each.pipeline: each.next_due for each in pipelines.schedules(ws) if each.enabled}
    rows = [
        {**_row(record), "next_due": due.get(data.source_pipeline(record.name).name)}
        for record in data.configured_sources(ws)
    ]
    show(rows, (*_COLUMNS, "next_due"), as_json=json, title="sources")


@group.command()
def pause(name: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Let a source rest after the batch that it reads now."""
    from .. import data

    record = data.pause_source(existing_workspace(workspace), name)
    show([_row(record)], _COLUMNS, as_json=json, title="sources")


@group.command()
def resume(name: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Let a paused source go on where it stopped."""
    from .. import data

    record = data.resume_source(existing_workspace(workspace), name)
    show([_row(record)], _COLUMNS, as_json=json, title="sources")


@group.command()
def remove(name: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Forget a source; its table stays."""
    from .. import data

    data.remove_source(existing_workspace(workspace), name)
    if json:
        print_json({"name": name, "removed": True})
        return
    Console().print(f"{name} is removed; its table stays")


@group.command()
def run(
    name: Annotated[str | None, typer.Argument(help="One source, once; without it all of them, until Ctrl-C")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Ingest one source once, here, or run all: continuous ones in actors, the others as scheduled pipelines."""
    from .. import data

    ws = open_workspace(workspace)
    if name is None:
        stop = threading.Event()
        try:
            data.supervise(ws, stop=stop)
        except KeyboardInterrupt:
            stop.set()
            raise typer.Abort() from None
        return
    step = data.run_once(ws, data.configured_source(ws, name))
    if step.version is None:
        Console().print(f"nothing has come from {name} yet")
        return
    show([step.version], ("name", "version", "rows", "operation", "metrics"), as_json=json, title="tables")


@group.command()
def listen(
    port: Annotated[int, typer.Option(help="Port on loopback")] = 8090,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Take events over HTTP for sources of kind push: POST /events/NAME."""
    import uvicorn

    from .. import data

    app = data.push_app(open_workspace(workspace))
    address = f"http://127.0.0.1:{port}/events/NAME"
    if json:
        print_json({"address": address})
    else:
        Console().print(f"POST events to {address}; Ctrl-C ends it")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


@group.command()
def discover(
    what: Annotated[
        str, typer.Argument(help="A configured source, a YAML file, or a CSV, JSON, Parquet, Avro or ORC file or glob")
    ],
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    written: Annotated[
        list[str], typer.Option("--written", help="How a column is written, such as 'price=1.234,5' or 'day=%d.%m.%Y'")
    ] = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a definition here, for `source add`")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Sample a source: proposed types, keys and event time, and what contradicts them."""
    from .. import data

    found = data.discover(_connector(what, delimiter, encoding, workspace)).written(_pairs(written))
    if out is not None:
        # Whoever runs the source may stand in another folder.
        local = "://" not in what and not what.endswith((".yaml", ".yml")) and bool(Path(what).suffix)
        there = _connector(str(Path(what).absolute()) if local else what, delimiter, encoding, workspace)
        found = replace(found, connector=there)
        name = re.sub(r"[^a-z0-9_-]+", "-", Path(what).name.partition(".")[0].lower()).strip("-_") or "source"
        plain_source = data.source_to_plain(found.source(name))
        write_out(yaml.safe_dump({"sources": [plain_source]}, sort_keys=False, allow_unicode=True), out)
    if json:
        print_json(found.to_dict())
        return
    rows = [plain(column) for column in found.columns]
    show(rows, ("name", "type", "nulls", "distinct", "examples", "conflicts"), as_json=False, title=what)
    told = Console()
    told.print(f"key: {', '.join(found.key) or 'none found'}; event time: {found.event_time or 'none found'}")
    for reason, text in found.broken[:5]:
        told.print(f"no row: {reason}: {text[:100]}", markup=False, highlight=False)
    if out is not None:
        told.print(f"written to {out}: look at it, then `raylake source add {out}`")


def file_connector(paths: list[str], delimiter: str | None = None, encoding: str | None = None) -> Any:
    """The connector of files, by the ending of the first.

    Raises:
        ConfigError: The ending is not known, or an option is not one of its kind.
    """
    from .. import data

    kinds: dict[str, Any] = {
        ".csv": data.Csv,
        ".tsv": data.Csv,
        ".zip": data.Csv,
        ".parquet": data.Parquet,
        ".json": data.Json,
        ".jsonl": data.Json,
        ".ndjson": data.Json,
        ".avro": data.Avro,
        ".orc": data.Orc,
    }
    suffix = Path(re.sub(r"\.(gz|zst|bz2)$", "", paths[0])).suffix.lower()
    if suffix not in kinds:
        raise ConfigError(f"{paths[0]!r} has no known ending: use {', '.join(kinds)}, or a YAML file and `source add`")
    kind = kinds[suffix]
    options = {"delimiter": delimiter or ("\t" if suffix == ".tsv" else None), "encoding": encoding}
    given = {name: value for name, value in options.items() if value is not None}
    if given and kind is not data.Csv:
        raise ConfigError(f"--{next(iter(given))} is about CSV files, not about {paths[0]!r}: leave it out")
    return kind(paths, **given)


def _connector(what: str, delimiter: str | None, encoding: str | None, workspace: Path | None) -> Any:
    from .. import data

    if what.endswith((".yaml", ".yml")):
        return data.load_sources(what)[0].connector
    if Path(what).suffix or "/" in what:
        return file_connector([what], delimiter, encoding)
    return data.configured_source(open_workspace(workspace), what).connector


def _pairs(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        column, mark, notation = text.partition("=")
        if not mark:
            raise ConfigError(f"--written {text!r} is not valid: write column=notation, such as 'price=1.234,5'")
        found[column] = notation
    return found


def _row(record: Any) -> dict[str, Any]:
    body = record.definition
    return {
        **plain(record),
        "kind": body["connector"]["kind"],
        "every": body.get("every", ""),
        "continuous": body.get("continuous", False),
    }
