"""`raylake data ...` on tables: their state, their upkeep, changes of their rows, files in and out."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from ..core import ConfigError
from .options import JsonOption, WorkspaceOption, existing_workspace, open_workspace, plain, print_json, show

_VERSION = ("name", "version", "rows", "operation", "metrics")
_CONDITION = re.compile(r"\s*([^\s=!<>]+)\s*(==|=|!=|<=|>=|<|>|\bnot in\b|\bin\b)\s*(.+)", re.DOTALL)

TableArgument = Annotated[str, typer.Argument(help="A table, such as flights or quarantine.flights")]
PinnedArgument = Annotated[str, typer.Argument(help="A table, or a version of it, such as flights@3")]
WhereOption = Annotated[
    list[str],
    typer.Option("--where", help="A condition, such as 'distance > 100' or 'origin in [EWR, JFK]'; several: all hold"),
]
KeyOption = Annotated[list[str], typer.Option("--key", "-k", help="Column that identifies a row; may be repeated")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


def info(table: PinnedArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Size, columns and catalogue entry of a table; reads no rows."""
    from .. import data, registry
    from ..core import NotFound

    ws = existing_workspace(workspace)
    facts = data.facts(ws, table)
    try:
        known = registry.table_info(ws, facts.name)
    except NotFound:  # written by another program, so no version is recorded
        known = None
    if json:
        print_json({**plain(facts), "catalogue": plain(known)})
        return
    show([facts], ("name", "version", "rows", "bytes", "files", "last_write", "operation"), as_json=False)
    described = {} if known is None else known.columns
    if known is not None and (known.description or known.owner or known.tags):
        Console().print(
            f"{known.description} (owner: {known.owner or 'none'}; tags: {', '.join(known.tags) or 'none'})\n"
        )
    rows = [
        {"column": name, "type": kind, **(plain(described[name]) if name in described else {})}
        for name, kind in facts.columns.items()
    ]
    show(rows, ("column", "type", "unit", "sensitivity", "description"), as_json=False)


def changes(
    table: TableArgument,
    since: Annotated[int, typer.Option(help="Version after which changes count")],
    until: Annotated[int | None, typer.Option(help="Last version that counts; default: the newest")] = None,
    key: KeyOption = [],  # noqa: B006
    limit: Annotated[int, typer.Option(help="Rows to print")] = 50,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Rows inserted, updated and deleted between two versions."""
    from .. import data

    found = data.changes(existing_workspace(workspace), table, since=since, until=until, key=key)
    print_rows(found, limit, as_json=json)


def restore_table(
    table: Annotated[str, typer.Argument(help="The version to go back to, such as flights@3, or the table with --at")],
    at: Annotated[datetime | None, typer.Option(help="Instead of a version: a moment, UTC")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Make an old version the newest again, as a new version."""
    from .. import data

    ws = existing_workspace(workspace)
    ref = table if at is None else data.version_at(ws, table, at)
    show([data.restore(ws, ref)], _VERSION, as_json=json, title="tables")


def compact(
    table: TableArgument,
    z_order: Annotated[list[str], typer.Option("--z-order", help="Sort files by this column; may be repeated")] = [],  # noqa: B006
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Fewer and larger files; rows stay."""
    from .. import data

    ws = existing_workspace(workspace)
    version = data.z_order(ws, table, z_order) if z_order else data.compact(ws, table)
    show([version], _VERSION, as_json=json, title="tables")


def vacuum(
    table: TableArgument,
    keep_hours: Annotated[int, typer.Option(min=0, help="Versions of the last so many hours stay readable")] = 168,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Remove files that no younger version needs, and those of killed writers."""
    from .. import data

    removed = data.vacuum(existing_workspace(workspace), table, keep_hours=keep_hours)
    _tell({"table": table, "files": removed}, f"{removed} files removed", as_json=json)


def retain(
    table: TableArgument,
    keep: Annotated[str, typer.Option(help="Rows older than this expire, such as 90d")] = "",
    by: Annotated[str, typer.Option(help="Event-time column that --keep goes by")] = "",
    history_for: Annotated[str, typer.Option("--history", help="Versions older than this expire, such as 30d")] = "",
    versions: Annotated[int, typer.Option(min=0, help="So many versions stay; 0: no limit")] = 0,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Show how long rows and versions are kept; with options, set it. `clean-up` applies it."""
    from .. import data

    ws = existing_workspace(workspace)
    if keep or by or history_for or versions:
        data.set_retention(ws, table, data.Retention(keep=keep, by=by, history=history_for, versions=versions))
    show([data.retention_of(ws, table)], ("keep", "by", "history", "versions"), as_json=json, title="retention")


def clean_up(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables; default: all with a retention")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Remove expired rows and versions; run it on a schedule."""
    from .. import data

    found = data.clean_up(existing_workspace(workspace), tables or None)
    show(found, ("name", "rows", "files"), as_json=json, title="tables with a retention")


def delete(
    table: TableArgument, where: WhereOption, workspace: WorkspaceOption = None, json: JsonOption = False
) -> None:
    """Delete rows, as a new version; older versions still have them until `purge`."""
    from .. import data

    version = data.delete(existing_workspace(workspace), table, conditions(where))
    show([version], _VERSION, as_json=json, title="tables")


def purge(
    table: TableArgument, yes: YesOption = False, workspace: WorkspaceOption = None, json: JsonOption = False
) -> None:
    """Take deleted and expired rows off the disk now; older versions cannot be read afterwards."""
    from .. import data

    _ask(f"Older versions of {table} will be gone for good. Go on?", yes)
    removed = data.purge(existing_workspace(workspace), table)
    _tell({"table": table, "files": removed}, f"{removed} files removed", as_json=json)


def forget(
    table: TableArgument,
    where: WhereOption,
    key: KeyOption,
    yes: YesOption = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Delete rows here and in all that was derived from them, off the disk, and keep a proof."""
    from .. import data

    asked = f"Rows of {table} with {' and '.join(where)}, and all derived from them, will be gone for good. Go on?"
    _ask(asked, yes)
    done = data.forget(existing_workspace(workspace), table, conditions(where), key=key)
    if json:
        print_json(done)
        return
    show(done.tables, ("name", "version", "rows", "files", "left"), as_json=False, title="tables")
    said = [("not searched, without the key's columns", done.unreachable), ("models trained on it", done.models)]
    for what, names in said:
        if names:
            Console().print(f"{what}: {', '.join(names)}")
    Console().print(f"proof: {done.proof}")


def export(
    table: PinnedArgument,
    to: Annotated[str, typer.Argument(help="File or URL that ends in .parquet, .csv or .arrow")],
    column: Annotated[list[str] | None, typer.Option("--column", "-c", help="Column to write; may be repeated")] = None,
    where: Annotated[list[str], typer.Option("--where", help="Condition on rows; may be repeated")] = [],  # noqa: B006
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Write a table, or a version of it, to one file."""
    from .. import data

    rows = data.export(existing_workspace(workspace), table, to, columns=column, filter=conditions(where) or None)
    _tell({"rows": rows, "to": to}, f"{rows} rows written to {to}", as_json=json)


def load(
    table: TableArgument,
    paths: Annotated[list[str], typer.Argument(help="Parquet, CSV or Arrow files")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there")] = False,
    evolve: Annotated[bool, typer.Option("--evolve", help="Accept new columns")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Write files into a table as they are, once; `ingest` remembers files, checks and quarantines."""
    from .. import data

    ws, mode = open_workspace(workspace), "overwrite" if overwrite else "append"
    version = data.load(ws, table, paths, mode=mode, schema_mode="evolve" if evolve else "enforce")  # type: ignore[arg-type]
    show([version], _VERSION, as_json=json, title="tables")


def merge(
    table: TableArgument,
    path: Annotated[str, typer.Argument(help="Parquet, CSV or Arrow file of new and changed rows")],
    key: KeyOption,
    newest: Annotated[str | None, typer.Option(help="Column that decides between rows of one key")] = None,
    evolve: Annotated[bool, typer.Option("--evolve", help="Accept new columns")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Replace the rows of the table that have a key of the file, and add the others."""
    from .. import data

    ws, rows = existing_workspace(workspace), data.read_file(path)
    made = data.merge(ws, table, rows, key=key, newest=newest, schema_mode="evolve" if evolve else "enforce")
    show([made], _VERSION, as_json=json, title="tables")


def derive(
    table: Annotated[str, typer.Argument(help="The table to make")],
    query: Annotated[str, typer.Argument(help="SQL over other tables")],
    append: Annotated[bool, typer.Option("--append", help="Add rows instead of replacing them")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Write the result of SQL as a table, with lineage to the versions that were read."""
    from .. import data

    made = data.derive(existing_workspace(workspace), table, query, mode="append" if append else "overwrite")
    show([made], _VERSION, as_json=json, title="tables")


def conditions(texts: list[str]) -> list[tuple[str, str, Any]]:
    """Conditions such as ``distance > 100`` as triples; values are read as YAML: ``7``, ``EWR``, ``2026-01-31``.

    Raises:
        ConfigError: A text is none.
    """
    found = []
    for text in texts:
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise ConfigError(
                f"condition {text!r} is not valid: write 'column == value', with ==, !=, <, <=, >, >= or in"
            )
        try:
            value = yaml.safe_load(parts[3])
        except yaml.YAMLError as error:
            raise ConfigError(f"the value {parts[3]!r} of condition {text!r} is not valid: quote it") from error
        found.append((parts[1], "==" if parts[2] == "=" else parts[2], value))
    return found


def print_rows(table: Any, limit: int, *, as_json: bool) -> None:
    """The first rows of an Arrow table."""
    rows = table.slice(0, limit).to_pylist()
    if as_json:
        print_json(rows)
        return
    show([exact(row) for row in rows], table.column_names, as_json=False, title="rows")
    if table.num_rows > limit:
        Console().print(f"... {table.num_rows - limit} more rows: --limit shows them")


def exact(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose numbers are shown in full: people compare values, they do not glance at metrics.

    Example:
        >>> exact({"price": 1234.5, "share": 0.1, "n": 3})
        {'price': '1234.5', 'share': '0.1', 'n': 3}
    """
    return {name: f"{value:.15g}" if isinstance(value, float) else value for name, value in row.items()}


def _ask(question: str, yes: bool) -> None:
    if not yes and not typer.confirm(question, err=True):
        Console(stderr=True).print("nothing was changed")
        raise typer.Exit(1)


def _tell(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        Console().print(text)


def write_out(text: str, out: Path) -> None:
    """Write a text file, making its folder.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written ({error.strerror}): choose another place") from error
