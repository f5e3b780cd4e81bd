"""`raylake runs|models|tables|lineage|compare|trace|card`: what people look at most, one word each."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from ..core import StorageError
from .options import JsonOption, WorkspaceOption, existing_workspace, print_json, show

if TYPE_CHECKING:
    from ..registry import LineageGraph


class Direction(StrEnum):
    """Which way to walk."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


class Format(StrEnum):
    """How lineage is printed."""

    TREE = "tree"
    SVG = "svg"
    MERMAID = "mermaid"
    OPENLINEAGE = "openlineage"


OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file")]


def runs(
    kind: Annotated[str | None, typer.Option(help="train, study, trial, ...")] = None,
    status: Annotated[str | None, typer.Option(help="running, finished, failed or stopped")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Runs, newest first."""
    from .. import registry

    ws = existing_workspace(workspace)
    with suppress(StorageError):  # a registry that can only be read is listed as it is
        registry.settle_interrupted(ws)
    found = registry.runs(ws, kind=kind, status=status, limit=limit)
    show(found, ("id", "kind", "name", "status", "metrics", "created_at"), as_json=json, title="runs")


def models(
    name: Annotated[str | None, typer.Argument(help="A model, to list its versions")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Models, or the versions of one."""
    from .. import registry

    ws = existing_workspace(workspace)
    if name is None:
        show(registry.models(ws), ("name", "latest", "aliases", "created_at"), as_json=json, title="models")
        return
    registry.model_version(ws, name)  # an unknown name is an error, not an empty list
    found = registry.model_versions(ws, name)
    show(found, ("name", "version", "aliases", "metrics", "created_at"), as_json=json, title="versions")


def tables(
    name: Annotated[str | None, typer.Argument(help="A table, to list its versions")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Tables, or the versions of one."""
    from .. import registry

    ws = existing_workspace(workspace)
    found = registry.tables(ws) if name is None else registry.table_versions(ws, name)
    columns = ("name", "version", "rows", "operation", "source", "created_at")
    show(found, columns, as_json=json, title="tables" if name is None else "versions")


def lineage(
    node: Annotated[str, typer.Argument(help="kind:name@version, such as model:flight-delay@3 or table:main.flights")],
    direction: Annotated[Direction, typer.Option(help="What it was made from, what was made from it")] = Direction.BOTH,
    depth: Annotated[int | None, typer.Option(min=0, help="Longest way in edges; default: to the ends")] = None,
    format: Annotated[Format, typer.Option(help="A tree, a picture, Mermaid text, events")] = Format.TREE,  # noqa: A002
    out: OutOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What something was made from, and what was made from it."""
    from .. import registry

    ws = existing_workspace(workspace)
    if format is Format.OPENLINEAGE:
        print_json(registry.openlineage_events(ws, node, direction=direction.value, depth=depth))
        return
    graph = registry.lineage_graph(ws, node, direction=direction.value, depth=depth)
    if json:
        print_json([{"source": str(edge.source), "target": str(edge.target)} for edge in graph.edges])
    elif format is Format.SVG:
        _write(graph.to_svg(), out)
    elif format is Format.MERMAID:
        _write(graph.to_mermaid(), out)
    else:
        _print_trees(graph, direction)


def compare(
    a: Annotated[str, typer.Argument(help="flight-delay@3, flights@12, a run's id, or table:main.flights@12")],
    b: Annotated[str, typer.Argument(help="Another of the same kind")],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What differs between two runs, model versions or versions of a table."""
    from .. import registry

    found = registry.compare(existing_workspace(workspace), a, b)
    if json:
        print_json(found)
        return
    Console().print(found)


def trace(
    id: Annotated[str, typer.Argument(help="The id in the prediction's answer")],  # noqa: A002
    endpoint: Annotated[str | None, typer.Option(help="The endpoint that answered; default: search all")] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What made a prediction: model, run, training set, features, tables, files, code."""
    from .. import serve

    found = serve.trace(existing_workspace(workspace), id, endpoint=endpoint)
    if json:
        print_json(found)
        return
    Console().print(str(found), markup=False, highlight=False, soft_wrap=True)


def card(
    model: Annotated[str, typer.Argument(help="flight-delay@3 or flight-delay@champion")],
    out: OutOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """The page of a model version: Markdown, or HTML with --out PAGE.html."""
    from .. import registry

    made = registry.model_card(existing_workspace(workspace), model)
    if out is not None:
        made.save(out)
    if json:
        print_json({"model": str(made.version), "markdown": made.to_markdown(), "file": out and str(out)})
    elif out is None:
        typer.echo(made.to_markdown())
    else:
        typer.echo(f"written to {out}")


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
        return
    out.write_text(text, encoding="utf-8")
    typer.echo(f"written to {out}")


def _print_trees(graph: LineageGraph, direction: Direction) -> None:
    console = Console()
    if not graph.edges:
        console.print(f"nothing is recorded of what {graph.start} was made from or made into", highlight=False)
        return
    for way, up in (("made from", True), ("made into", False)):
        if direction is (Direction.DOWNSTREAM if up else Direction.UPSTREAM):
            continue
        tree = Tree(f"{graph.start} {way}", highlight=False)
        _grow(tree, graph, up)
        console.print(tree)
    if graph.hidden:
        console.print(f"{graph.hidden} edges farther away are not shown", style="dim")


def _grow(tree: Tree, graph: LineageGraph, up: bool) -> None:
    """Every node once below the first that leads to it; breadth first, so that each stands as near as it is."""
    from ..registry.records import stands_for

    seen = {graph.start}
    level = [(graph.start, tree)]
    while level:
        following = []
        for node, branch in level:
            for edge in graph.edges:
                near, far = (edge.target, edge.source) if up else (edge.source, edge.target)
                if far not in seen and stands_for(near, node):
                    seen.add(far)
                    words = graph.labels.get(far, "")
                    label = Text(str(far)) + Text(f"  {words}" if words else "", style="dim")
                    following.append((far, branch.add(label)))
        level = following
