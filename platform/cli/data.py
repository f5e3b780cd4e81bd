"""`raylake data ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core import ConfigError
from . import quality
from . import tables as on_tables
from .options import JsonOption, WorkspaceOption, existing_workspace, load_object, open_workspace, show
from .sources import DelimiterOption, EncodingOption, file_connector

if TYPE_CHECKING:
    from ..data import Source

group = typer.Typer(no_args_is_help=True)


@group.command()
def ingest(
    source: Annotated[str, typer.Argument(help="Name of the table, or package.module:source for a declared Source")],
    paths: Annotated[
        list[str] | None, typer.Argument(help="CSV, JSON, Parquet, Avro or ORC files; globs, .gz and .zip work")
    ] = None,
    not_null: Annotated[list[str] | None, typer.Option("--not-null", help="Column that must have a value")] = None,
    unique: Annotated[list[str] | None, typer.Option("--unique", help="Column whose values must differ")] = None,
    delimiter: DelimiterOption = None,
    encoding: EncodingOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Ingest a source exactly once; files that were read before are not read again."""
    from .. import data

    ws = open_workspace(workspace)
    if ":" in source:
        declared = load_object(source)
    else:
        declared = _adhoc(source, _files(source, paths, delimiter, encoding), not_null or [], unique or [])
    version = data.ingest(ws, declared)
    show([version], ("name", "version", "rows", "operation", "metrics"), as_json=json, title="tables")


def _files(name: str, paths: list[str] | None, delimiter: str | None, encoding: str | None) -> Any:
    if not paths:
        raise ConfigError(f"ingest {name!r} from which files? Name them, or use `raylake source run {name}`")
    return file_connector(paths, delimiter, encoding)


def _adhoc(name: str, connector: Any, not_null: list[str], unique: list[str]) -> Source:
    from .. import data

    expectations = [
        *(data.not_null(column) for column in not_null),
        *(data.unique(column) for column in unique),
    ]
    return data.Source(name, connector, expectations=expectations)


@group.command()
def tables(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """The newest version of every table."""
    from .. import registry

    found = registry.tables(existing_workspace(workspace))
    show(found, ("name", "version", "rows", "operation", "created_at"), as_json=json, title="tables")


@group.command()
def versions(table: str, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All versions of a table that its own log has, oldest first."""
    from .. import data

    found = data.versions(existing_workspace(workspace), table)
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
    on_tables.print_rows(result, limit, as_json=json)


for name, command in (
    *(("show", on_tables.info), ("changes", on_tables.changes), ("export", on_tables.export), ("load", on_tables.load)),
    *(("merge", on_tables.merge), ("derive", on_tables.derive), ("delete", on_tables.delete)),
    *(("restore", on_tables.restore_table), ("compact", on_tables.compact), ("vacuum", on_tables.vacuum)),
    *(("retain", on_tables.retain), ("clean-up", on_tables.clean_up)),
    *(("purge", on_tables.purge), ("forget", on_tables.forget)),
    *(("profile", quality.profile), ("check", quality.check), ("quality", quality.quality)),
    *(("describe", quality.describe), ("search", quality.search), ("schema", quality.schema)),
):
    group.command(name)(command)
