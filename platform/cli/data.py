"""`raylake data ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import JsonOption, WorkspaceOption, existing_workspace, load_object, open_workspace, print_json, show

if TYPE_CHECKING:
    from ..data import Source

group = typer.Typer(no_args_is_help=True)


@group.command()
def ingest(
    source: Annotated[str, typer.Argument(help="Name of the table, or package.module:source for a declared Source")],
    paths: Annotated[list[str] | None, typer.Argument(help="CSV or Parquet files; globs, .gz and .zip work")] = None,
    not_null: Annotated[list[str] | None, typer.Option("--not-null", help="Column that must have a value")] = None,
    unique: Annotated[list[str] | None, typer.Option("--unique", help="Column whose values must differ")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Ingest a source exactly once; files that were read before are not read again."""
    from .. import data

    ws = open_workspace(workspace)
    declared = load_object(source) if ":" in source else _adhoc(source, paths or [], not_null or [], unique or [])
    version = data.ingest(ws, declared)
    show([version], ("name", "version", "rows", "operation", "metrics"), as_json=json, title="tables")


def _adhoc(name: str, paths: list[str], not_null: list[str], unique: list[str]) -> Source:
    from .. import data

    connector = data.Parquet if all(path.endswith(".parquet") for path in paths) and paths else data.Csv
    expectations = [
        *(data.not_null(column) for column in not_null),
        *(data.unique(column) for column in unique),
    ]
    return data.Source(name, connector(paths), expectations=expectations)


@group.command()
def tables(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """The newest version of every table."""
    from .. import registry

    found = registry.tables(existing_workspace(workspace))
    show(found, ("name", "version", "rows", "operation", "created_at"), as_json=json, title="tables")


@group.command()
def versions(table: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All recorded versions of a table."""
    from .. import registry

    ws = existing_workspace(workspace)
    found = registry.table_versions(ws, table) or [registry.table_version(ws, table)]
    show(found, ("name", "version", "rows", "operation", "created_at"), as_json=json, title="versions")


@group.command()
def sql(
    query: str,
    limit: Annotated[int, typer.Option(help="Rows to print")] = 50,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Query the tables with SQL."""
    from .. import data

    result = data.sql(existing_workspace(workspace), query)
    rows = result.slice(0, limit).to_pylist()
    if json:
        print_json(rows)
        return
    show(rows, result.column_names, as_json=False, title="rows")
