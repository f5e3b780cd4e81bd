"""The lineage graph as OpenLineage events, for every catalogue that understands them (Marquez, DataHub, ...).

A run is a RunEvent with its inputs and outputs; what was made without a run is a JobEvent. Datasets carry their
schema, their version and the lineage of their columns in the standard facets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from ..core import Node, Workspace
from .engine import reading
from .lineage_graph import Direction, lineage_edges
from .lineage_walk import every_column_edge, every_edge
from .openlineage_names import (
    COLUMNS_FACET,
    FACETS,
    NODE_FACET,
    SPEC,
    dataset_name,
    facet,
    producer,
    run_id,
)
from .records import ColumnEdge, Edge
from .schema import LineageEventRow, RunRow, TableVersionRow

_STATES = {"running": "START", "finished": "COMPLETE", "failed": "FAIL", "stopped": "ABORT"}
_SOME = 500
Event = dict[str, Any]


@dataclass(slots=True)
class _Known:
    """What the registry knows beside the graph."""

    ws: Workspace
    schemas: dict[Node, Mapping[str, str]] = field(default_factory=dict)
    runs: dict[str, RunRow] = field(default_factory=dict)
    foreign: dict[str, LineageEventRow] = field(default_factory=dict)
    columns: dict[Node, list[ColumnEdge]] = field(default_factory=dict)


def openlineage_events(
    ws: Workspace, node: Node | str | None = None, *, direction: Direction = "both", depth: int | None = None
) -> list[Event]:
    """The lineage graph, or the part around one node, as OpenLineage events: plain mappings, ready for JSON.

    Args:
        ws: The workspace.
        node: A node or its text; ``None`` for the whole graph.
        direction: ``upstream``, ``downstream`` or ``both``, from `node`.
        depth: Longest way in edges; ``None`` walks to the ends.

    Raises:
        InvalidName: `node` breaks the naming rule.
        DataError: The direction is unknown, or `depth` is negative.

    Example:
        >>> import tempfile
        >>> from raylake.registry import finish_run, start_run
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> fit = start_run(ws, "fit", "first", inputs=[Node("table", "main.flights", "3")])
        >>> (event,) = openlineage_events(ws)
        >>> event["eventType"], event["job"]["name"], event["inputs"][0]["name"]
        ('START', 'fit/first', 'table:main.flights')
    """
    edges = every_edge(ws) if node is None else lineage_edges(ws, node, direction=direction, depth=depth)
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    columns = [edge for edge in every_column_edge(ws) if node is None or edge.target in ends]
    runs, without = _grouped(edges)
    with reading(ws) as session:
        known = _known(ws, session, {*ends, *(edge.target for edge in columns)}, columns)
        events = [_run_event(known, run, *read_and_written) for run, read_and_written in runs.items()]
        done = {target for _, outputs in runs.values() for target in outputs} | without.keys()
        alone = dict.fromkeys(target for target in known.columns if target not in done)
        events += [_job_event(known, target, sources) for target, sources in without.items()]
        return events + [_job_event(known, target, []) for target in alone]


def _grouped(edges: Iterable[Edge]) -> tuple[dict[Node, tuple[list[Node], list[Node]]], dict[Node, list[Node]]]:
    """Inputs and outputs of every run, and of what was made without one its sources."""
    runs: dict[Node, tuple[list[Node], list[Node]]] = {}
    without: dict[Node, list[Node]] = {}
    for edge in edges:
        if edge.source.kind == "run":  # a run that made a run is the maker
            runs.setdefault(edge.source, ([], []))[1].append(edge.target)
        elif edge.target.kind == "run":
            runs.setdefault(edge.target, ([], []))[0].append(edge.source)
        else:
            without.setdefault(edge.target, []).append(edge.source)
    return runs, without


def _known(ws: Workspace, session: Session, nodes: Iterable[Node], columns: Iterable[ColumnEdge]) -> _Known:
    known = _Known(ws)
    for edge in columns:
        known.columns.setdefault(edge.target, []).append(edge)
    found = sorted(nodes)
    for start in range(0, len(found), _SOME):
        part = found[start : start + _SOME]
        ids = [node.name for node in part if node.kind == "run"]
        names = {node.name for node in part if node.kind == "table"}
        for row in session.exec(select(TableVersionRow).where(col(TableVersionRow.name).in_(names))):
            known.schemas[Node("table", row.name, str(row.version))] = row.columns
        known.runs |= {row.id: row for row in session.exec(select(RunRow).where(col(RunRow.id).in_(ids)))}
        events = session.exec(select(LineageEventRow).where(col(LineageEventRow.run).in_(ids)))
        known.foreign |= {row.run: row for row in sorted(events, key=lambda row: row.id or 0)}
    return known


def _run_event(known: _Known, run: Node, inputs: list[Node], outputs: list[Node]) -> Event:
    facets: dict[str, Any] = {}
    if run_id(run).replace("-", "") != run.name or run.version:
        facets[NODE_FACET] = facet(SPEC + "RunFacet", name=run.name, version=run.version)
    own, foreign = known.runs.get(run.name), known.foreign.get(run.name)
    namespace, job, state, moment = f"raylake://{known.ws.name}", f"run/{run.name}", "COMPLETE", datetime.now(UTC)
    if own is not None:
        job, state, moment = f"{own.kind}/{own.name}", _STATES.get(own.status, "OTHER"), own.ended_at or own.created_at
        if own.error:
            error = f"{FACETS}1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
            facets["errorMessage"] = facet(error, message=own.error, programmingLanguage="python")
    elif foreign is not None:
        described = foreign.payload.get("job") or {}
        namespace, job = str(described.get("namespace", namespace)), str(described.get("name", job))
        state, moment = foreign.state or state, foreign.created_at
    kind = f"{FACETS}2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
    typed = facet(kind, processingType="BATCH", integration="RAYLAKE", jobType=own.kind if own else "RUN")
    return {
        "eventType": state,
        "eventTime": moment.isoformat(),
        "producer": producer(),
        "schemaURL": SPEC + "RunEvent",
        "run": {"runId": run_id(run), "facets": facets},
        "job": {"namespace": namespace, "name": job, "facets": {"jobType": typed}},
        "inputs": [_dataset(known, node) for node in inputs],
        "outputs": [_dataset(known, node, written=True) for node in outputs],
    }


def _job_event(known: _Known, target: Node, sources: list[Node]) -> Event:
    return {
        "eventTime": datetime.now(UTC).isoformat(),
        "producer": producer(),
        "schemaURL": SPEC + "JobEvent",
        "job": {"namespace": f"raylake://{known.ws.name}", "name": f"make/{target.kind}/{target.name}", "facets": {}},
        "inputs": [_dataset(known, node) for node in sources],
        "outputs": [_dataset(known, target, written=True)],
    }


def _dataset(known: _Known, node: Node, *, written: bool = False) -> dict[str, Any]:
    namespace, name = dataset_name(known.ws, node)
    facets: dict[str, Any] = {}
    if node.version:
        kind = f"{FACETS}1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
        facets["version"] = facet(kind, datasetVersion=node.version)
    schema = known.schemas.get(node)
    if schema is not None:
        kind = f"{FACETS}1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet"
        fields = [{"name": column, "type": dtype} for column, dtype in schema.items()]
        facets["schema"] = facet(kind, fields=fields)
    if written and node in known.columns:
        kind = f"{FACETS}1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet"
        facets["columnLineage"] = facet(kind, fields=_fields(known, known.columns[node]))
        exact = [[str(e.source.kind), e.source.name, e.source.version, e.source_column, e.target_column, e.how]
                 for e in known.columns[node]]  # fmt: skip
        facets[COLUMNS_FACET] = facet(SPEC + "DatasetFacet", edges=exact)
    return {"namespace": namespace, "name": name, "facets": facets}


def _fields(known: _Known, edges: Iterable[ColumnEdge]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for edge in edges:
        namespace, name = dataset_name(known.ws, edge.source)
        change = {"type": "DIRECT", "subtype": "TRANSFORMATION" if edge.how else "IDENTITY", "description": edge.how}
        made = {"namespace": namespace, "name": name, "field": edge.source_column, "transformations": [change]}
        fields.setdefault(edge.target_column, {"inputFields": []})["inputFields"].append(made)
    return fields
