"""Lineage recorded by an older raylake is walked by this one, and is still there after going back."""

from __future__ import annotations

import os
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import text

from raylake import registry
from raylake.core import Node, Workspace
from raylake.registry import Edge, engine, migrate

NODES = [(1, "table", "main.raw", "1"), (2, "table", "main.raw", ""), (3, "run", "r", ""), (4, "model", "m", "7")]
EDGES = [(1, 1, 3), (2, 2, 4), (3, 3, 4)]
RAW, EVERY, RUN, MODEL = (Node(*row[1:]) for row in NODES)


def revision_before() -> str:
    script = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    return str(script.get_revision("0004").down_revision)


def rows(ws: Workspace, query: str) -> list[tuple[object, ...]]:
    with engine.raw_engine(ws.registry_url, os.getpid()).connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_an_older_graph_up_and_down(any_ws: Workspace) -> None:
    before = revision_before()
    registry.migrate_schema(any_ws, before)
    with engine.raw_engine(any_ws.registry_url, os.getpid()).begin() as connection:
        for row in NODES:
            values = dict(zip(("id", "kind", "name", "version"), row, strict=True))
            connection.execute(text("INSERT INTO lineage_node VALUES (:id, :kind, :name, :version)"), values)
        for row in EDGES:
            values = dict(zip(("id", "source", "target"), row, strict=True))
            connection.execute(
                text("INSERT INTO lineage_edge VALUES (:id, :source, :target, '2026-01-01 00:00:00')"), values
            )
        if connection.dialect.name == "postgresql":
            for table in ("lineage_node", "lineage_edge"):
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 10)"))
    edges = [Edge(RAW, RUN), Edge(EVERY, MODEL), Edge(RUN, MODEL)]
    assert registry.upstream(any_ws, MODEL) == edges  # the first use brings the schema to head
    assert registry.downstream(any_ws, RAW) == edges
    assert registry.schema_version(any_ws) == migrate.HEAD
    registry.add_lineage(any_ws, [Node("table", "main.raw", "2")], [RUN])

    registry.migrate_schema(any_ws, before)
    assert rows(any_ws, "SELECT source, target FROM lineage_edge ORDER BY id")[:3] == [row[1:] for row in EDGES]
    names = {row[:3] for row in rows(any_ws, "SELECT kind, name, version FROM lineage_node")}
    assert names == {row[1:] for row in NODES} | {("table", "main.raw", "2")}  # rows made by the migration are gone
    assert len(registry.upstream(any_ws, MODEL)) == 4
