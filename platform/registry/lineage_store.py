"""Writing the lineage graph: any number of edges in a few statements, each thing once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from sqlalchemy import bindparam, text
from sqlmodel import Session

from ..core import Node
from .columns import clean
from .engine import now
from .records import ColumnEdge, Edge
from .schema import MAPPERS

BATCH = 20_000  # rows of one statement
Key = tuple[str, str, str]
_MOMENT = MAPPERS.metadata.tables["lineage_edge"].c.created_at.type

# One parameter with all rows, as JSON: no limit on parameters, and no work per row in the driver.
_ROWS = {"sqlite": "json_each(:rows)", "postgresql": "json_array_elements(CAST(:rows AS json))"}
_TEXT = {"sqlite": "json_extract(value, '$[{}]')", "postgresql": "value ->> {}"}
_NUMBER = {"sqlite": "json_extract(value, '$[{}]')", "postgresql": "CAST(value ->> {} AS bigint)"}
_KINDS = {"text": _TEXT, "number": _NUMBER}


def connect(session: Session, sources: Iterable[Node], targets: Iterable[Node]) -> None:
    """Record the edges from every source to every target inside an open transaction."""
    ends = [*dict.fromkeys(targets)]
    insert_edges(session, (Edge(source, target) for source in dict.fromkeys(sources) for target in ends))


def insert_edges(session: Session, edges: Iterable[Edge]) -> None:
    """Record edges inside an open transaction; those that exist already stay as they are."""
    waiting = iter(edges)
    while batch := [*islice(waiting, BATCH)]:
        ids = identify(session, (node for edge in batch for node in (edge.source, edge.target)))
        # Sorted, so that two writers of the same edges wait for each other instead of locking each other out.
        pairs = sorted({(ids[edge.source], ids[edge.target]) for edge in batch})
        found = _rows(session, source="number", target="number")
        _execute(
            session,
            f"INSERT INTO lineage_edge (source, target, created_at) SELECT source, target, :at FROM {found} WHERE true "
            "ORDER BY source, target ON CONFLICT DO NOTHING",
            pairs,
        )


def insert_columns(session: Session, edges: Iterable[ColumnEdge]) -> None:
    """Record column edges inside an open transaction; those that exist already stay as they are."""
    waiting = iter(edges)
    while batch := [*islice(waiting, BATCH)]:
        ids = identify(session, (node for edge in batch for node in (edge.source, edge.target)))
        rows = sorted(
            (ids[e.source], clean(e.source_column), ids[e.target], clean(e.target_column), clean(e.how)) for e in batch
        )
        found = _rows(session, source="number", source_column="text", target="number", target_column="text", how="text")
        _execute(
            session,
            "INSERT INTO lineage_column (source, source_column, target, target_column, how, created_at) "
            f"SELECT source, source_column, target, target_column, how, :at FROM {found} WHERE true "
            "ORDER BY source, source_column, target, target_column ON CONFLICT DO NOTHING",
            rows,
        )


def identify(session: Session, nodes: Iterable[Node]) -> dict[Node, int]:
    """Ids of the nodes, which are recorded where they are new."""
    keys: dict[Node, Key] = {node: node_key(node) for node in dict.fromkeys(nodes)}
    rows = sorted(set(keys.values()))
    found = _rows(session, kind="text", name="text", version="text")
    same = "node.kind = wanted.kind AND node.name = wanted.name AND node.version"
    # The rows without a version first: the others point at them.
    _execute(
        session,
        f"INSERT INTO lineage_node (kind, name, version) SELECT DISTINCT kind, name, '' FROM {found} WHERE true "
        "ORDER BY kind, name ON CONFLICT DO NOTHING",
        rows,
    )
    _execute(
        session,
        "INSERT INTO lineage_node (kind, name, version, thing) "
        f"SELECT wanted.kind, wanted.name, wanted.version, node.id FROM {found} "
        f"CROSS JOIN lineage_node AS node WHERE wanted.version <> '' AND {same} = '' "
        "ORDER BY wanted.kind, wanted.name, wanted.version ON CONFLICT DO NOTHING",
        rows,
    )
    answer = session.execute(
        text(
            f"SELECT wanted.kind, wanted.name, wanted.version, node.id FROM {found} "
            f"CROSS JOIN lineage_node AS node WHERE {same} = wanted.version"
        ),
        {"rows": json.dumps(rows)},
    )
    ids: Mapping[Key, int] = {(row[0], row[1], row[2]): row[3] for row in answer}
    return {node: ids[key] for node, key in keys.items()}


def node_key(node: Node) -> Key:
    """A node as the database holds it."""
    return (clean(node.kind), clean(node.name), clean(node.version))


def _execute(session: Session, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    bound = text(statement)
    if ":at" in statement:
        bound = bound.bindparams(bindparam("at", now(), type_=_MOMENT))
    session.execute(bound, {"rows": json.dumps(rows)})


def _rows(session: Session, **columns: str) -> str:
    """SQL of a table `wanted` whose rows are the parameter ``:rows``, a JSON list of lists."""
    dialect = session.get_bind().dialect.name
    chosen = ", ".join(
        f"{_KINDS[kind][dialect].format(index)} AS {name}" for index, (name, kind) in enumerate(columns.items())
    )
    return f"(SELECT {chosen} FROM {_ROWS[dialect]}) AS wanted"
