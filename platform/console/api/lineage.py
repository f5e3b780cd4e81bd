"""Lineage over HTTP: graphs, pictures, columns, OpenLineage both ways, traces, comparisons, model cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import BaseModel

from ... import registry
from ...registry import ColumnEdge, LineageGraph
from ...registry.frames import plain_record
from ..context import current_workspace

router = APIRouter(tags=["lineage"])
# Pictures and pages hold text that people wrote. It is escaped; should that ever fail, still no script runs.
_SAFE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
    "x-content-type-options": "nosniff",
}
_NodeText = Annotated[str, Query(description="kind:name@version, such as model:flight-delay@3", max_length=2000)]
_Depth = Annotated[int | None, Query(ge=0, le=2**31, description="Longest way in edges; without it to the ends")]
_Direction = Annotated[Literal["upstream", "downstream", "both"], Query()]
_Most = Annotated[int, Query(ge=1, le=100_000, description="Most edges; the nearest stay")]
_Text = Annotated[str, Query(max_length=2000)]


class EdgeAnswer(BaseModel):
    """One edge: the target was made from the source."""

    source: str
    target: str


class GraphAnswer(BaseModel):
    """A part of the lineage graph."""

    start: str
    edges: list[EdgeAnswer]
    labels: dict[str, str]
    hidden: int


class ColumnAnswer(BaseModel):
    """One column that was made from another."""

    source: str
    source_column: str
    target: str
    target_column: str
    how: str


class Accepted(BaseModel):
    """How many events were new."""

    accepted: int


@router.get("/api/raylake/lineage")
def graph(
    request: Request, node: _NodeText, direction: _Direction = "both", depth: _Depth = None, most: _Most = 300
) -> GraphAnswer:
    """What something was made from, and what was made from it."""
    found = _graph(request, node, direction, depth, most)
    edges = [EdgeAnswer(source=str(edge.source), target=str(edge.target)) for edge in found.edges]
    labels = {str(node): words for node, words in found.labels.items()}
    return GraphAnswer(start=str(found.start), edges=edges, labels=labels, hidden=found.hidden)


@router.get(
    "/api/raylake/lineage/picture", response_class=Response, responses={200: {"content": {"image/svg+xml": {}}}}
)
def picture(
    request: Request, node: _NodeText, direction: _Direction = "both", depth: _Depth = None, most: _Most = 300
) -> Response:
    """The same as an SVG picture."""
    svg = _graph(request, node, direction, depth, most).to_svg()
    return Response(svg, media_type="image/svg+xml", headers=_SAFE)


@router.get("/api/raylake/lineage/mermaid", response_class=PlainTextResponse)
def mermaid(
    request: Request, node: _NodeText, direction: _Direction = "both", depth: _Depth = None, most: _Most = 300
) -> PlainTextResponse:
    """The same as Mermaid text."""
    return PlainTextResponse(_graph(request, node, direction, depth, most).to_mermaid(), headers=_SAFE)


@router.get("/api/raylake/lineage/columns")
def columns(
    request: Request,
    node: _NodeText,
    column: _Text,
    direction: Annotated[Literal["upstream", "downstream"], Query()] = "upstream",
    depth: _Depth = None,
) -> list[ColumnAnswer]:
    """What a column was made from, or went into."""
    walk = registry.upstream_columns if direction == "upstream" else registry.downstream_columns
    return [_column(edge) for edge in walk(current_workspace(request), node, column, depth=depth)]


@router.get("/api/raylake/lineage/openlineage")
def export_openlineage(
    request: Request, node: Annotated[str | None, Query(max_length=2000)] = None, direction: _Direction = "both"
) -> list[dict[str, Any]]:
    """The graph, or the part around a node, as OpenLineage events."""
    return registry.openlineage_events(current_workspace(request), node, direction=direction)


@router.post("/api/v1/lineage", status_code=201, summary="Accept an OpenLineage event, as its clients post it")
@router.post("/api/raylake/lineage/openlineage", status_code=201)
def accept_openlineage(
    request: Request, event: Annotated[dict[str, Any] | list[dict[str, Any]], Body(description="One event, or a list")]
) -> Accepted:
    """Record one OpenLineage event, or a list of them, in one transaction."""
    return Accepted(accepted=registry.accept_openlineage(current_workspace(request), event))


@router.get("/api/raylake/trace")
def trace(
    request: Request,
    id: _Text,  # noqa: A002
    endpoint: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """What made a prediction: model version, run, training set, features, tables, files, code."""
    from ... import serve  # imports Ray

    found = serve.trace(current_workspace(request), id, endpoint=endpoint)
    shown = {name: getattr(found, name) for name in ("prediction", "model", "run", "code")}
    nodes = {name: getattr(found, name) for name in ("training", "features", "feature_tables", "tables", "files")}
    return _plain(shown | nodes)


@router.get("/api/raylake/compare")
def compare(request: Request, a: _Text, b: _Text) -> dict[str, Any]:
    """What differs between two runs, model versions or table versions."""
    return _plain(asdict(registry.compare(current_workspace(request), a, b)))


@router.get("/api/raylake/card", response_class=HTMLResponse)
def card(request: Request, model: _Text, format: Literal["html", "markdown"] = "html") -> Response:  # noqa: A002
    """The page of a model version."""
    made = registry.model_card(current_workspace(request), model)
    if format == "markdown":
        return Response(made.to_markdown(), media_type="text/markdown; charset=utf-8", headers=_SAFE)
    return HTMLResponse(made.to_html(), headers=_SAFE)


def _graph(request: Request, node: str, direction: Any, depth: int | None, most: int) -> LineageGraph:
    return registry.lineage_graph(current_workspace(request), node, direction=direction, depth=depth, most=most)


def _column(edge: ColumnEdge) -> ColumnAnswer:
    return ColumnAnswer(**{**asdict(edge), "source": str(edge.source), "target": str(edge.target)})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain_record(value) for name, value in values.items()}
