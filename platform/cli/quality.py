"""`raylake data ...` on quality and the catalogue: profiles, checks, descriptions, search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console

from ..core import ConfigError, ExpectationFailed
from .options import JsonOption, WorkspaceOption, existing_workspace, plain, print_json, show
from .tables import PinnedArgument, TableArgument, exact, write_out

if TYPE_CHECKING:
    from ..data import Expectation

OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write a page (.html) or JSON (.json) here")]


def profile(
    table: PinnedArgument,
    column: Annotated[
        list[str] | None, typer.Option("--column", "-c", help="Only this column; may be repeated")
    ] = None,
    out: OutOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Types, missing and distinct values, quantiles, outliers, correlations of a table; as a page with --out."""
    from .. import data

    found = data.profile(existing_workspace(workspace), table, columns=column)
    if out is not None:
        write_out(found.to_json() if out.suffix == ".json" else found.to_html(), out)
    if json:
        typer.echo(found.to_json())
        return
    columns = ("name", "type", "missing", "distinct", "low", "median", "high", "notes")
    rows = [exact({**plain(one), "median": one.quantiles.get("0.5")}) for one in found.columns.values()]
    show(rows, columns, as_json=False, title=f"{found.table}: {found.rows} rows")
    if out is not None:
        Console().print(f"written to {out}")


def check(
    table: PinnedArgument,
    expect: Annotated[
        list[str],
        typer.Option("--expect", "-e", help="A rule, such as 'not_null: origin' or 'between: [delay, 0, 500]'"),
    ] = [],  # noqa: B006
    source: Annotated[str | None, typer.Option(help="Check the rules of this configured source, too")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Check every row of a table against rules; the result is kept. Exit code 1 when a rule is broken."""
    from .. import data

    ws = existing_workspace(workspace)
    rules = [_expectation(text) for text in expect]
    rules += data.configured_source(ws, source).rules if source else ()
    report = data.check(ws, table, rules)
    if json:
        print_json({**plain(report), "passed": report.passed})
    else:
        show(report.results, ("rule", "checked", "failed", "detail"), as_json=False, title=report.table)
    if not report.passed:
        broken = [result.rule for result in report.results if not result.passed]
        raise ExpectationFailed(f"{report.table} breaks {', '.join(broken)}; the result is kept as run {report.run_id}")


def _expectation(text: str) -> Expectation:
    from ..data.definitions import expectation_from_plain

    try:
        return expectation_from_plain(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(
            f"rule {text!r} is not valid: write 'not_null: origin' or 'between: [delay, 0, 500]'"
        ) from error


def quality(table: PinnedArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Results of earlier checks and of ingests, newest first."""
    from .. import data

    found = data.quality_history(existing_workspace(workspace), table)
    show(found, ("id", "name", "status", "metrics", "created_at"), as_json=json, title="checks")


def describe(
    table: TableArgument,
    column: Annotated[str | None, typer.Argument(help="A column of it, to describe that")] = None,
    description: Annotated[str | None, typer.Option("--description", "-d", help="What it holds or means")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the table")] = None,
    unit: Annotated[str | None, typer.Option(help="Unit of a column's values, such as minutes")] = None,
    sensitivity: Annotated[str | None, typer.Option(help="Of a column: public, internal, personal or secret")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Free word; may be repeated; replaces those before")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Describe a table or a column in the catalogue, and show the entry."""
    from .. import registry

    ws = existing_workspace(workspace)
    wrong = ("--unit or --sensitivity", unit or sensitivity) if column is None else ("--owner", owner)
    if wrong[1]:
        raise ConfigError(
            f"{wrong[0]} is about a {'column: name one' if column is None else 'table: leave the column out'}"
        )
    if column is None:
        found = registry.describe_table(ws, table, description=description, owner=owner, tags=tag)
    else:
        given = {"description": description, "unit": unit, "sensitivity": sensitivity}
        found = registry.describe_column(ws, table, column, tags=tag, **given)
    if json:
        print_json(found)
        return
    show([found], ("name", "owner", "tags", "description"), as_json=False)
    show(found.columns.values(), ("name", "type", "unit", "sensitivity", "tags", "description"), as_json=False)


def search(
    words: Annotated[list[str] | None, typer.Argument(help="Words in names, columns, descriptions, tags")] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    owner: Annotated[str | None, typer.Option()] = None,
    sensitivity: Annotated[str | None, typer.Option(help="Tables with such a column")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Find tables in the catalogue."""
    from .. import registry

    ws = existing_workspace(workspace)
    found = registry.search_tables(ws, " ".join(words or []), tag=tag, owner=owner, sensitivity=sensitivity)
    show(found, ("name", "version", "rows", "owner", "tags", "description"), as_json=json, title="tables")


def schema(table: TableArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Which version added, removed or changed which column."""
    from .. import registry

    found = registry.schema_history(existing_workspace(workspace), table)
    show(found, ("version", "created_at", "added", "removed", "changed"), as_json=json, title="changes of the schema")
