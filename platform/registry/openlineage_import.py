"""OpenLineage events of other tools (Spark, Airflow, dbt, Flink, ...) as part of the lineage graph."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from ..core import DataError, Node, Workspace
from .engine import now, writing
from .lineage_store import connect, insert_columns
from .openlineage_names import COLUMNS_FACET, dataset_node, run_node
from .records import ColumnEdge
from .rows import insert_new
from .schema import LineageEventRow

STATES = ("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER")
_Named = tuple[str, str]


def accept_openlineage(ws: Workspace, events: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> int:
    """Record OpenLineage events: their lineage joins the graph, the events are kept as they came.

    RunEvent, JobEvent and DatasetEvent of the specification 1.0 and 2.0 are understood; unknown facets are kept and
    ignored. All events of a call are one transaction. The same event accepted again changes nothing.

    Args:
        ws: The workspace.
        events: One event, or several, as mappings.

    Returns:
        How many events were new.

    Raises:
        DataError: An event lacks something or has it wrong; the message names it. Then nothing was recorded.
        InvalidName: A dataset in a namespace ``raylake://`` is no valid lineage node.

    Example:
        >>> import tempfile
        >>> from raylake.registry import upstream
        >>> ws = Workspace.open(tempfile.mkdtemp())
        >>> event = {
        ...     "eventType": "COMPLETE", "eventTime": "2026-01-01T06:00:00Z", "producer": "urn:nightly",
        ...     "run": {"runId": "0199b7a2-52d0-7c6e-9f55-d8c6e8a3c001"},
        ...     "job": {"namespace": "spark", "name": "clean"},
        ...     "inputs": [{"namespace": "s3://raw", "name": "orders.csv"}],
        ...     "outputs": [{"namespace": "postgres://db:5432", "name": "shop.orders"}],
        ... }
        >>> accept_openlineage(ws, event), accept_openlineage(ws, event)
        (1, 0)
        >>> [str(edge.source) for edge in upstream(ws, "dataset:postgres://db:5432 shop.orders")]
        ['dataset:s3://raw orders.csv', 'run:0199b7a252d07c6e9f55d8c6e8a3c001']
    """
    given = [events] if isinstance(events, Mapping) else [*events]
    understood = [_understood(ws, event, place) for place, event in enumerate(given)]
    with writing(ws) as session:
        fresh = 0
        for event, run, inputs, outputs, columns in understood:
            row = _row(event, run)
            before = session.query(LineageEventRow).filter_by(digest=row["digest"]).count()
            insert_new(session, LineageEventRow, [row])
            fresh += not before
            if run is None:
                connect(session, inputs, outputs)
            else:
                connect(session, inputs, [run])
                connect(session, [run], outputs)
            insert_columns(session, columns)
        return fresh


def _understood(
    ws: Workspace, event: Any, place: int
) -> tuple[Mapping[str, Any], Node | None, list[Node], list[Node], list[ColumnEdge]]:
    try:
        if not isinstance(event, Mapping):
            raise DataError(f"it is {type(event).__name__}: send a JSON object")
        _text(event, "eventTime", "event")
        run = run_node(_part(event, "run")) if "run" in event else None
        if "dataset" in event and "job" not in event:
            return event, run, [], [], _columns(ws, [_part(event, "dataset")], [])
        job = _part(event, "job")
        for name in ("namespace", "name"):
            _text(job, name, "job")
        state = event.get("eventType")
        if state is not None and state not in STATES:
            raise DataError(f"eventType {state!r:.50} is unknown: use one of {', '.join(STATES)}")
        inputs, outputs = _datasets(event, "inputs"), _datasets(event, "outputs")
        columns = _columns(ws, outputs, inputs)
        return event, run, [_node(ws, one) for one in inputs], [_node(ws, one) for one in outputs], columns
    except DataError as error:
        raise DataError(f"OpenLineage event {place} cannot be accepted: {error}") from error


def _row(event: Mapping[str, Any], run: Node | None) -> dict[str, Any]:
    job = event.get("job") or {}
    content = json.dumps(event, sort_keys=True, default=str)
    return {
        "digest": sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        "run": "" if run is None else run.name,
        "job": f"{job.get('namespace', '')} {job.get('name', '')}".strip(),
        "state": str(event.get("eventType") or ""),
        "payload": json.loads(content),
        "created_at": now(),
    }


def _part(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = event.get(name)
    if not isinstance(found, Mapping):
        raise DataError(f"{name} is missing or no object: see the OpenLineage specification of RunEvent")
    return found


def _text(part: Mapping[str, Any], name: str, where: str) -> str:
    found = part.get(name)
    if not isinstance(found, str) or not found:
        raise DataError(f"{where}.{name} is {found!r:.100}: give a text that is not empty")
    return found


def _datasets(event: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = event.get(name) or []
    if not isinstance(found, Sequence) or isinstance(found, str) or not all(isinstance(one, Mapping) for one in found):
        raise DataError(f"{name} is no list of objects: give datasets with namespace and name")
    return list(found)


def _node(ws: Workspace, dataset: Mapping[str, Any]) -> Node:
    pinned = _facet(dataset, "version").get("datasetVersion", "")
    return dataset_node(ws, _text(dataset, "namespace", "dataset"), _text(dataset, "name", "dataset"), str(pinned))


def _facet(dataset: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    facets = dataset.get("facets")
    found = facets.get(name) if isinstance(facets, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _columns(
    ws: Workspace, outputs: Iterable[Mapping[str, Any]], inputs: Iterable[Mapping[str, Any]]
) -> list[ColumnEdge]:
    """Column edges of the outputs. The standard facet names datasets without version: the event's input tells it."""
    read: dict[_Named, Node] = {(str(one.get("namespace")), str(one.get("name"))): _node(ws, one) for one in inputs}
    found = []
    for output in outputs:
        target = _node(ws, output)
        exact = _facet(output, COLUMNS_FACET).get("edges")
        if isinstance(exact, Sequence):
            found += [_exact(edge, target) for edge in exact]
            continue
        fields = _facet(output, "columnLineage").get("fields")
        for column, made in (fields if isinstance(fields, Mapping) else {}).items():
            for source in _datasets(made if isinstance(made, Mapping) else {}, "inputFields"):
                named = (_text(source, "namespace", "inputField"), _text(source, "name", "inputField"))
                node = read.get(named) or dataset_node(ws, *named)
                found.append(ColumnEdge(node, _text(source, "field", "inputField"), target, str(column), _how(source)))
    return found


def _exact(edge: Any, target: Node) -> ColumnEdge:
    if not isinstance(edge, Sequence) or len(edge) != 6 or not all(isinstance(part, str) for part in edge):
        raise DataError(f"facet {COLUMNS_FACET} has {edge!r:.100}: give kind, name, version, column, column, how")
    return ColumnEdge(Node(edge[0], edge[1], edge[2]), edge[3], target, edge[4], edge[5])


def _how(source: Mapping[str, Any]) -> str:
    given = source.get("transformations")
    changes = [one for one in (given if isinstance(given, list) else ()) if isinstance(one, Mapping)]
    words = (one.get("description") or str(one.get("subtype") or "").replace("IDENTITY", "").lower() for one in changes)
    return ", ".join(str(word) for word in words if word)
