"""Writing the lineage graph: any number of edges in a few statements, each thing once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import bindparam, text
from sqlmodel import Session

from ..core import Node
from .columns import clean
from .engine import now
from .records import ColumnEdge, Edge
from .schema import MAPPERS

T = TypeVar("T")
_CACHE_KIB = 128 * 1024
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
    ids: dict[Node, int] = {}
    for number, batch in enumerate(_batches(edges)):
        if number == 1:  # many: pages that do not fit are written to the log again and again
            _cache_more(session)
        _identify(session, ids, (node for edge in batch for node in (edge.source, edge.target)))
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
    ids: dict[Node, int] = {}
    for batch in _batches(edges):
        _identify(session, ids, (node for edge in batch for node in (edge.source, edge.target)))
        rows = sorted(
            (ids[e.source], clean(e.source_column), ids[e.target], clean(e.target_column), clean(e.how)) for e in batch
        )
        columns = {"source": "number", "source_column": "text", "target": "number", "target_column": "text"}
        found = _rows(session, **columns, how="text")
        _execute(
            session,
            "INSERT INTO lineage_column (source, source_column, target, target_column, how, created_at) "
            f"SELECT source, source_column, target, target_column, how, :at FROM {found} WHERE true "
            "ORDER BY source, source_column, target, target_column ON CONFLICT DO NOTHING",
            rows,
        )


def follow_indexes(session: Session) -> None:
    """Tell PostgreSQL, for this transaction: without fresh statistics it would read whole tables at every step."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(
            text("SELECT set_config(name, 'off', true) FROM unnest(CAST(:names AS text[])) AS name"),
            {"names": ["enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"]},
        )


def _cache_more(session: Session) -> None:
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text(f"PRAGMA cache_size=-{_CACHE_KIB}"))


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := [*islice(waiting, BATCH)]:
        yield batch


def _identify(session: Session, ids: dict[Node, int], nodes: Iterable[Node]) -> None:
    """Add the ids of the nodes to `ids`; nodes that are new are recorded."""
    fresh = [node for node in dict.fromkeys(nodes) if node not in ids]
    if not fresh:
        return
    follow_indexes(session)
    rows = sorted((*node_key(node), place) for place, node in enumerate(fresh))
    found = _rows(session, kind="text", name="text", version="text", place="number")
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
    query = f"SELECT wanted.place, node.id FROM {found} CROSS JOIN lineage_node AS node WHERE {same} = wanted.version"
    for place, number in session.execute(text(query), {"rows": json.dumps(rows)}):
        ids[fresh[place]] = number


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
